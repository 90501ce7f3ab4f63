/**
 * Dynamic loss scaling for float16 (Micikevicius et al. 2018), with the numbers of torch.amp.GradScaler: gradients are computed
 * from a loss times `value`, so that small ones do not vanish, and divided by it again in float32. When they overflow, the step
 * is left out and the scale halved; after 2000 steps without, it is doubled.
 */

export type LossScaleState = {
  readonly value: number
  /** Steps since it last changed. */
  readonly steady: number
}

const initial: LossScaleState = { value: 65536, steady: 0 }
const growthInterval = 2000

export class LossScale {
  #state: LossScaleState

  constructor(state: LossScaleState = initial) {
    this.#state = state
  }

  get state(): LossScaleState {
    return this.#state
  }

  /** After a step; `finite`: its gradient was. False when the scale cannot become smaller: the loss itself has overflowed. */
  update(finite: boolean): boolean {
    const { value, steady } = this.#state
    if (!finite) this.#state = { value: value / 2, steady: 0 }
    else if (steady + 1 === growthInterval) this.#state = { value: value * 2, steady: 0 }
    else this.#state = { value, steady: steady + 1 }
    return this.#state.value >= 1
  }
}
