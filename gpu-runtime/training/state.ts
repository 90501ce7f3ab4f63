/** A training checkpoint: adapter, moments and the number of steps done, in one safetensors file. */
import { z } from 'zod'
import { FormatError } from '../error.ts'
import { readHeader, readTensor, writeSafetensors } from '../files/safetensors.ts'
import type { Window } from './metrics.ts'

export type TrainingState = {
  /** Optimizer steps done. The data position and all random numbers follow from it. */
  readonly step: number
  readonly trainables: Float32Array<ArrayBuffer>
  readonly m: Float32Array<ArrayBuffer>
  readonly v: Float32Array<ArrayBuffer>
  /** Metrics of steps that are done and not yet logged. */
  readonly window: Window
}

export function saveState(
  path: string,
  { step, window, ...vectors }: TrainingState,
): Promise<void> {
  const tensors = Object.entries(vectors).map(([name, data]) => ({
    name,
    dtype: 'F32' as const,
    shape: [data.length],
    data,
  }))
  return writeSafetensors(path, tensors, { step: String(step), window: JSON.stringify(window) })
}

/** Throws FormatError when the file is no checkpoint of an adapter with `parameters` values. */
export async function loadState(path: string, parameters: number): Promise<TrainingState> {
  const { tensors, metadata } = await readHeader(path)
  const step = Number(metadata.step)
  if (!Number.isInteger(step) || step < 0)
    throw new FormatError(`${path}: not a training checkpoint: step is ${metadata.step}`)
  const read = async (name: string) => {
    const info = tensors.get(name)
    if (info?.shape[0] !== parameters)
      throw new FormatError(
        `${path}: "${name}" has ${info?.shape[0] ?? 'no'} values, expected ${parameters}`,
      )
    return (await readTensor(info)) as Float32Array<ArrayBuffer>
  }
  const [trainables, m, v] = [await read('trainables'), await read('m'), await read('v')]
  return { step, trainables, m, v, window: readWindow(metadata.window, path) }
}

const WindowShape = z.object({
  sums: z.record(z.string(), z.number()),
  count: z.number().int().nonnegative(),
})

function readWindow(text: string | undefined, path: string): Window {
  try {
    return WindowShape.parse(JSON.parse(text ?? ''))
  } catch (cause) {
    throw new FormatError(`${path}: not a training checkpoint: no sums of metrics`, { cause })
  }
}
