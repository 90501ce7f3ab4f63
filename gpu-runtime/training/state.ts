/** A training checkpoint: adapter, moments and the number of steps done, in one safetensors file. */
import { FormatError } from '../error.ts'
import { readHeader, readTensor, writeSafetensors } from '../files/safetensors.ts'

export type TrainingState = {
  /** Optimizer steps done. The data position and all random numbers follow from it. */
  readonly step: number
  readonly trainables: Float32Array<ArrayBuffer>
  readonly m: Float32Array<ArrayBuffer>
  readonly v: Float32Array<ArrayBuffer>
}

export function saveState(path: string, { step, ...vectors }: TrainingState): Promise<void> {
  const tensors = Object.entries(vectors).map(([name, data]) => ({
    name,
    dtype: 'F32' as const,
    shape: [data.length],
    data,
  }))
  return writeSafetensors(path, tensors, { step: String(step) })
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
  return { step, trainables: await read('trainables'), m: await read('m'), v: await read('v') }
}
