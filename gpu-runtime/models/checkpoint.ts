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

/** The mean row of the vocabulary's matrix [hidden]: a hidden state times it is the mean of that position's logits. */
export async function meanHeadRow({
  config,
  tensors,
  directory,
}: Checkpoint): Promise<Float32Array> {
  const name = config.tiedHead ? 'model.embed_tokens.weight' : 'lm_head.weight'
  const info = tensors.get(name)
  if (!info) throw new FormatError(`${directory}: tensor "${name}" is missing`)
  const sum = new Float64Array(config.hidden)
  for await (const rows of readParts(info, partRows * config.hidden)) {
    for (let at = 0; at < rows.length; at += config.hidden) {
      for (let i = 0; i < config.hidden; i++) sum[i]! += rows[at + i]!
    }
  }
  return Float32Array.from(sum, (s) => s / config.vocabulary)
}
