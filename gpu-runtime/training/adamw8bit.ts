/**
 * AdamW whose moments have 8 bits, block by block, as bitsandbytes' AdamW8bit: a quarter of the memory. A step widens a block,
 * updates it in full precision and quantizes it again, in a loop in the engine's thread.
 *
 * Blocks begin anew at each matrix, and matrices of fewer than 4096 values keep float32 moments, both as in bitsandbytes.
 * Weight decay comes before the update, as in torch.
 */
import type { Engine } from '../onnx/engine.ts'
import type { AdamWSettings } from './adamw.ts'
import type kernel from './adamw8bitKernel.ts'
import type { StepArguments } from './adamw8bitKernel.ts'
import { blockSize } from './blockwise.ts'
import type { Layout } from './moments.ts'

/** min_8bit_size of bitsandbytes. */
const narrowFrom = 4096

/** The moments of matrices of `sizes` values: codes and block scales, or values as they are where a matrix is small. */
export function layout8bit(sizes: readonly number[]): Layout {
  const narrow = sizes.filter((size) => size >= narrowFrom)
  const codes = narrow.reduce((n, size) => n + size, 0)
  const scales = narrow.reduce((n, size) => n + Math.ceil(size / blockSize), 0)
  const whole = sizes.reduce((n, size) => n + size, 0) - codes
  return Object.fromEntries(
    ['m', 'v'].flatMap((moment) => [
      [`${moment}.codes`, { dtype: 'U8', length: codes }],
      [`${moment}.scales`, { dtype: 'F32', length: scales }],
      [`${moment}.whole`, { dtype: 'F32', length: whole }],
    ]),
  )
}

/** Updates the engine's vectors `trainables` and those of `layout8bit` from `gradient`. */
export class AdamW8bit {
  readonly #engine: Engine
  readonly #settings: AdamWSettings
  readonly #matrices: StepArguments['matrices']

  constructor(engine: Engine, settings: AdamWSettings, sizes: readonly number[]) {
    this.#engine = engine
    this.#settings = settings
    this.#matrices = sizes.map((size) => ({ size, narrow: size >= narrowFrom }))
  }

  /** Step `step` (1, 2, ...) at a learning rate; returns the gradient's norm before clipping. */
  step(step: number, rate: number): Promise<number> {
    return this.#engine.apply<typeof kernel>(
      new URL('./adamw8bitKernel.ts', import.meta.url),
      {
        w: 'trainables',
        g: 'gradient',
        mCodes: 'm.codes',
        mScales: 'm.scales',
        mWhole: 'm.whole',
        vCodes: 'v.codes',
        vScales: 'v.scales',
        vWhole: 'v.whole',
      },
      { matrices: this.#matrices, settings: this.#settings, step, rate },
    )
  }
}
