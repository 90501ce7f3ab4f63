/** A training checkpoint: adapter, moments and the number of steps done, in one safetensors file. */
import { z } from 'zod'
import type { Recipe } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import { readBytes, readHeader, writeSafetensors } from '../files/safetensors.ts'
import type { Vector } from '../onnx/engine.ts'
import type { Standing } from './best.ts'
import type { LossScaleState } from './lossScale.ts'
import type { Window } from './metrics.ts'
import type { Layout, Moments } from './moments.ts'
import { layoutOf } from './optimizer.ts'

export type TrainingState = {
  /** Optimizer steps done. The data position and all random numbers follow from it. */
  readonly step: number
  readonly trainables: Float32Array<ArrayBuffer>
  /** Of the recipe's optimizer. */
  readonly moments: Moments
  /** Metrics of steps that are done and not yet logged. */
  readonly window: Window
  /** Where float16 is computed in. */
  readonly lossScale: LossScaleState | null
  /** The best evaluation so far and its trainables, where the recipe keeps the best. */
  readonly best: Best | null
}

export type Best = { readonly standing: Standing; readonly trainables: Float32Array<ArrayBuffer> }

export function saveState(
  path: string,
  { step, window, lossScale, trainables, moments, best }: TrainingState,
): Promise<void> {
  const tensors = Object.entries({
    trainables,
    ...moments,
    ...(best ? { best: best.trainables } : {}),
  }).map(([name, data]) => ({
    name,
    dtype: data instanceof Uint8Array ? ('U8' as const) : ('F32' as const),
    shape: [data.length],
    data,
  }))
  return writeSafetensors(path, tensors, {
    step: String(step),
    window: JSON.stringify(window),
    lossScale: JSON.stringify(lossScale),
    ...(best ? { best: JSON.stringify(best.standing) } : {}),
  })
}

/** Throws FormatError when the file is no checkpoint of trainables of `sizes` values each under the recipe's optimizer. */
export async function loadState(
  path: string,
  sizes: readonly number[],
  recipe: Pick<Recipe, 'optimizer'>,
): Promise<TrainingState> {
  const { tensors, metadata } = await readHeader(path)
  const step = Number(metadata.step)
  if (!Number.isInteger(step) || step < 0)
    throw new FormatError(`${path}: not a training checkpoint: step is ${metadata.step}`)
  const read = async (name: string, { dtype, length }: Layout[string]) => {
    const info = tensors.get(name)
    if (info?.shape.join() !== String(length) || info.dtype !== dtype)
      throw new FormatError(
        `${path}: "${name}" is ${info ? `${info.dtype} [${info.shape}]` : 'missing'}, expected ${dtype} [${length}]`,
      )
    const bytes = await readBytes(info)
    return dtype === 'U8' ? new Uint8Array(bytes) : new Float32Array(bytes)
  }
  const moments: Record<string, Vector> = {}
  for (const [name, expected] of Object.entries(layoutOf(recipe, sizes)))
    moments[name] = await read(name, expected)
  const flat = { dtype: 'F32', length: sizes.reduce((a, b) => a + b, 0) } as const
  const floats = async (name: string) => (await read(name, flat)) as Float32Array<ArrayBuffer>
  return {
    step,
    trainables: await floats('trainables'),
    moments,
    window: metadataOf(WindowShape, metadata.window, path),
    lossScale: metadataOf(LossScaleShape, metadata.lossScale, path),
    best:
      metadata.best === undefined
        ? null
        : {
            standing: metadataOf(StandingShape, metadata.best, path),
            trainables: await floats('best'),
          },
  }
}

const WindowShape = z.object({
  sums: z.record(z.string(), z.number()),
  counts: z.record(z.string(), z.number().int().nonnegative()),
})

const LossScaleShape = z
  .object({ value: z.number().positive(), steady: z.number().int().nonnegative() })
  .nullable()

const StandingShape = z.object({
  step: z.number().int().nonnegative(),
  value: z.number(),
  waited: z.number().int().nonnegative(),
})

function metadataOf<T>(shape: z.ZodType<T>, text: string | undefined, path: string): T {
  try {
    return shape.parse(JSON.parse(text ?? ''))
  } catch (cause) {
    throw new FormatError(
      `${path}: not a training checkpoint: ${text ?? 'nothing'} in its header`,
      {
        cause,
      },
    )
  }
}
