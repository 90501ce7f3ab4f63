/** NF4 weights on disk: quantized once, then mapped. One file for a model, named by the content that it was made of. */
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { FormatError } from '../error.ts'
import { sweep } from '../files/atomic.ts'
import {
  readHeader,
  readTensor,
  streamSafetensors,
  type TensorInfo,
  type TensorPlan,
} from '../files/safetensors.ts'
import type { ByteRange, Nf4Weight } from '../tensor/storedWeight.ts'
import { nestedBlockSize, quantizeAbsmax } from './absmax.ts'
import { blockSize, quantize } from './nf4.ts'

/** Counts up when the same weights get other codes, or the file another form. */
const version = 1

export type StoreOptions = {
  /** Hash of the model's content: a model that has changed never meets what was made of another. */
  readonly revision: string
  /** The model's folder; the file goes to `.oddsmith/` in it. */
  readonly directory: string
  /** Where the file goes when the model's folder cannot be written to. */
  readonly cache: string
  readonly signal?: AbortSignal
  /** Called when there is no file yet, before it is made. */
  readonly begin?: (file: string) => void
}

/** ODDSMITH_CACHE, or where caches are kept. */
export const cacheFolder = (env: NodeJS.ProcessEnv): string =>
  env['ODDSMITH_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'oddsmith')

/** Name of the file with what was made of this content. */
export const nf4File = (revision: string): string => `nf4-${version}-${revision}.safetensors`

/**
 * The given tensors in NF4, by name; from the file of an earlier time where there is one. Holds one tensor at a time. Throws
 * FormatError for a tensor that cannot be quantized.
 */
export async function storedNf4(
  tensors: readonly TensorInfo[],
  { revision, directory, cache, signal, begin }: StoreOptions,
): Promise<ReadonlyMap<string, Nf4Weight>> {
  const files = [join(directory, '.oddsmith'), cache].map((f) => join(f, nf4File(revision)))
  for (const file of files) {
    const found = await open(file, tensors)
    if (found) return found
  }
  const plans = tensors.flatMap(nf4Tensors)
  const [beside, elsewhere] = files as [string, string]
  const write = async (folder: string, file: string) => {
    await mkdir(folder, { recursive: true })
    await sweep(folder)
    begin?.(file)
    await streamSafetensors(file, plans, quantized(tensors, signal), { format: 'nf4' })
    return file
  }
  const file = await write(join(directory, '.oddsmith'), beside).catch((error: unknown) => {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code!)) throw error
    return write(cache, elsewhere)
  })
  return (await open(file, tensors))!
}

/** Names and shapes in the file: of a weight, its codes under its own name, then its absmax. Each is aligned. */
export function nf4Tensors({ name, shape }: Pick<TensorInfo, 'name' | 'shape'>): TensorPlan[] {
  const blocks = Math.ceil(shape.reduce((a, b) => a * b, 1) / blockSize)
  const nested = Math.ceil(blocks / nestedBlockSize)
  return [
    { name: `${name}.nested_absmax`, dtype: 'F32', shape: [nested] },
    { name: `${name}.nested_offset`, dtype: 'F32', shape: [1] },
    { name: `${name}.absmax`, dtype: 'U8', shape: [nested, nestedBlockSize] },
    { name, dtype: 'U8', shape: [blocks, blockSize / 2] },
  ]
}

async function* quantized(
  tensors: readonly TensorInfo[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  for (const info of tensors) {
    signal?.throwIfAborted()
    const { codes, absmax } = quantize(
      await readTensor(info),
      `${info.file}: tensor "${info.name}"`,
    )
    const nested = quantizeAbsmax(absmax)
    yield bytes(nested.scales)
    yield bytes(Float32Array.of(nested.offset))
    yield nested.codes
    yield codes
  }
}

/** null when there is no such file, or it is not what would be written now. */
async function open(
  file: string,
  tensors: readonly TensorInfo[],
): Promise<ReadonlyMap<string, Nf4Weight> | null> {
  const header = await readHeader(file).catch((error: unknown) => {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code === 'ENOENT')
      return null
    throw error
  })
  if (header === null) return null
  const fits = ({ name, dtype, shape }: TensorPlan) => {
    const found = header.tensors.get(name)
    return found?.dtype === dtype && String(found.shape) === String(shape)
  }
  if (!tensors.flatMap(nf4Tensors).every(fits)) return null
  const range = (name: string): ByteRange => {
    const { offset, bytes } = header.tensors.get(name)!
    return { file, offset, bytes }
  }
  return new Map(
    tensors.map(({ name, shape }): [string, Nf4Weight] => [
      name,
      {
        dtype: 'nf4',
        shape,
        codes: range(name),
        absmax: {
          codes: range(`${name}.absmax`),
          scales: range(`${name}.nested_absmax`),
          offset: range(`${name}.nested_offset`),
        },
      },
    ]),
  )
}
