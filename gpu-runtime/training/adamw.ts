/**
 * AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, over one flat vector, in place, with gradient clipping as
 * torch.nn.utils.clip_grad_norm_: a graph of its own, so that moments never travel.
 */
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { floats } from '../tensor/feed.ts'
import { add, div, input, lessOrEqual, mul, reshape, sqrt, sub, sum, where } from '../tensor/ops.ts'

export type AdamWSettings = {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  readonly maxGradNorm: number
}

/** What transformers' Trainer uses. */
export const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

function graph({ beta1, beta2, epsilon, weightDecay, maxGradNorm }: AdamWSettings): Emitted {
  const vector = (name: string) => input(name, ['P'])
  const scalar = (name: string) => input(name, [1])
  const [w, m, v, g] = [vector('w'), vector('m'), vector('v'), vector('g')]
  const norm = sqrt(sum(mul(g, g), [0])) // [1]
  const factor = div(maxGradNorm, add(norm, 1e-6))
  const clipped = mul(g, where(lessOrEqual(factor, 1), factor, 1))
  const nextM = add(mul(m, beta1), mul(clipped, 1 - beta1))
  const nextV = add(mul(v, beta2), mul(mul(clipped, clipped), 1 - beta2))
  const denominator = add(div(sqrt(nextV), scalar('correction2')), epsilon)
  const decayed = weightDecay === 0 ? w : mul(w, sub(1, mul(scalar('rate'), weightDecay)))
  const nextW = sub(decayed, mul(div(nextM, denominator), scalar('stepSize')))
  return emit({ outputs: { nextW, nextM, nextV, norm: reshape(norm, [1]) } }, (name) => {
    throw new Error(`internal: no weight ${name}`)
  })
}

/** Updates the engine's vectors `trainables`, `m` and `v` from `gradient`. */
export class AdamW {
  readonly #session: Session
  readonly #settings: AdamWSettings

  private constructor(session: Session, settings: AdamWSettings) {
    this.#session = session
    this.#settings = settings
  }

  static async open(engine: Engine, settings: AdamWSettings): Promise<AdamW> {
    return new AdamW(await engine.open(graph(settings)), settings)
  }

  /** Step `step` (1, 2, ...) at a learning rate; returns the gradient's norm before clipping. */
  async step(step: number, rate: number): Promise<number> {
    const { beta1, beta2, weightDecay } = this.#settings
    const scalars = {
      stepSize: floats([rate / (1 - beta1 ** step)]),
      correction2: floats([Math.sqrt(1 - beta2 ** step)]),
      ...(weightDecay === 0 ? {} : { rate: floats([rate]) }),
    }
    const { norm } = await this.#session.run(scalars, {
      resident: { w: 'trainables', m: 'm', v: 'v', g: 'gradient' },
      into: { nextW: 'trainables', nextM: 'm', nextV: 'v' },
    })
    return norm!.data[0]!
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
