/**
 * AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, over one flat vector, in place, with gradient clipping as
 * torch.nn.utils.clip_grad_norm_: in the engine's thread, so that moments never travel.
 */
import type { Engine } from '../onnx/engine.ts'
import type kernel from './adamwKernel.ts'
import type { Layout } from './moments.ts'

export type AdamWSettings = {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  readonly maxGradNorm: number
}

/** What transformers' Trainer uses. */
export const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

/** The moments of AdamW, float32 both. */
export function layout32bit(sizes: readonly number[]): Layout {
  const length = sizes.reduce((a, b) => a + b, 0)
  return { m: { dtype: 'F32', length }, v: { dtype: 'F32', length } }
}

/** Updates the engine's vectors `trainables`, `m` and `v` from `gradient`. */
export class AdamW {
  readonly #engine: Engine
  readonly #settings: AdamWSettings

  constructor(engine: Engine, settings: AdamWSettings) {
    this.#engine = engine
    this.#settings = settings
  }

  /** Step `step` (1, 2, ...) at a learning rate; returns the gradient's norm before clipping. */
  step(step: number, rate: number): Promise<number> {
    return this.#engine.apply<typeof kernel>(
      new URL('./adamwKernel.ts', import.meta.url),
      { w: 'trainables', g: 'gradient', m: 'm', v: 'v' },
      { settings: this.#settings, step, rate },
    )
  }
}
