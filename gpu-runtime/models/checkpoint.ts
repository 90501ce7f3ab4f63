/** A checkpoint on disk as the engine reads it: its configuration, and where each weight lies. */
import { join } from 'node:path'
import { FormatError } from '../error.ts'
import { openModel } from '../files/modelDirectory.ts'
import { readParts, type TensorInfo } from '../files/safetensors.ts'
import type { StoredWeight } from '../tensor/storedWeight.ts'
import { storedNf4, type StoreOptions } from '../quantization/store.ts'
import { parseConfig, type DecoderConfig } from './config.ts'

/** Opened, not read: weights stay in their files until onnxruntime maps them. */
export type Checkpoint = {
  readonly directory: string
  readonly config: DecoderConfig
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Throws FormatError when the checkpoint has no such tensor or its type cannot be computed with. */
  weight(name: string): StoredWeight
}

const dtypes = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const

/**
 * Reads the configuration and the headers of a Hugging Face model directory. Throws FormatError naming the file and what
 * is wrong in it.
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  const { config: json, tensors, directory: absolute } = await openModel(directory)
  const config = parseConfig(json, join(absolute, 'config.json'))
  return {
    directory: absolute,
    config,
    tensors,
    weight(name) {
      const info = tensors.get(name)
      if (!info) throw new FormatError(`${absolute}: tensor "${name}" is missing`)
      const dtype = dtypes[info.dtype as keyof typeof dtypes]
      if (!dtype)
        throw new FormatError(
          `${info.file}: tensor "${name}" is ${info.dtype}, expected ${Object.keys(dtypes).join(', ')}`,
        )
      return { file: info.file, offset: info.offset, bytes: info.bytes, shape: info.shape, dtype }
    },
  }
}

/**
 * The same checkpoint with the matrices of its decoder layers in NF4, and everything else as it is: what bitsandbytes leaves out
 * is the head, and what is not a linear. They are quantized by the first who asks, which takes seconds for a billion weights.
 */
export async function inNf4(
  checkpoint: Checkpoint,
  options: Omit<StoreOptions, 'directory'>,
): Promise<Checkpoint> {
  const { directory, tensors } = checkpoint
  const linears = [...tensors.values()].filter(
    ({ name, shape }) => /^model\.layers\.\d+\..*\.weight$/.test(name) && shape.length === 2,
  )
  const stored = await storedNf4(linears, { ...options, directory })
  return { ...checkpoint, weight: (name) => stored.get(name) ?? checkpoint.weight(name) }
}

/** Rows of the vocabulary's matrix that are in memory together. */
const partRows = 512

/**
 * What a hidden state is to be multiplied by [hidden] to give the mean of its logits: the mean row of the vocabulary's matrix. Of
 * added tokens only the number counts, their rows are not here. Where logits are capped (Gemma 2) it is the mean before the cap:
 * after it, all of them would be needed.
 */
export async function meanHeadRow(checkpoint: Checkpoint): Promise<Float32Array> {
  const { tiedHead, vocabulary, addedTokens } = checkpoint.config
  const mean = await meanRow(checkpoint, tiedHead ? 'model.embed_tokens.weight' : 'lm_head.weight')
  return addedTokens === 0 ? mean : mean.map((x) => (x * vocabulary) / (vocabulary + addedTokens))
}

/** The mean [hidden] of the rows of a matrix that has one for each token of the configuration's vocabulary. */
export async function meanRow(
  { config: { vocabulary, hidden }, tensors, directory }: Checkpoint,
  name: string,
): Promise<Float32Array> {
  const info = tensors.get(name)
  if (!info) throw new FormatError(`${directory}: tensor "${name}" is missing`)
  const sum = new Float64Array(hidden)
  for await (const rows of readParts(firstRows(info, vocabulary), partRows * hidden)) {
    for (let at = 0; at < rows.length; at += hidden) {
      for (let i = 0; i < hidden; i++) sum[i]! += rows[at + i]!
    }
  }
  return Float32Array.from(sum, (s) => s / vocabulary)
}

/** A matrix as if it had its first `rows` only. */
export const firstRows = (info: TensorInfo, rows: number): TensorInfo => ({
  ...info,
  bytes: (info.bytes / info.shape[0]!) * rows,
  shape: [rows, ...info.shape.slice(1)],
})
