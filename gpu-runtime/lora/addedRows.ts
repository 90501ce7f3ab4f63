/**
 * The rows of added tokens in an adapter. PEFT knows them as `modules_to_save`: whole matrices of embedding and head, of which
 * here only the last rows differ from the base. Both are stored, also of a model with a tied head, because PEFT keeps the base's
 * head apart from a saved embedding. They are in the base's type, so trained rows are rounded to it when they are stored.
 */
import type { LoraSpec } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import {
  readBytes,
  readHeader,
  readTensor,
  type NewTensor,
  type TensorInfo,
} from '../files/safetensors.ts'
import { toBf16 } from '../files/dtype.ts'
import { tokenMatrices } from '../models/addedTokens.ts'
import { firstRows, meanRow, type Checkpoint } from '../models/checkpoint.ts'
import { initial } from './lora.ts'

/** PEFT's names in adapter_model.safetensors, and in modules_to_save. */
export const savedMatrices = [
  { module: 'embed_tokens', key: 'base_model.model.model.embed_tokens.weight' },
  { module: 'lm_head', key: 'base_model.model.lm_head.weight' },
] as const

/**
 * An adapter before training, flat: the matrices of LoRA as PEFT starts them, then for each added token the mean row of the base's
 * matrix. (transformers' resize_token_embeddings draws around that mean; two tokens that start alike part by their gradients.)
 */
export async function initialAdapter(
  checkpoint: Checkpoint,
  spec: LoraSpec,
  seed: number,
): Promise<Float32Array<ArrayBuffer>> {
  const { config } = checkpoint
  const matrices = initial(config, spec, seed)
  if (config.addedTokens === 0) return matrices
  const parts = [matrices]
  for (const name of tokenMatrices(config)) {
    const mean = await meanRow(checkpoint, name)
    for (let i = 0; i < config.addedTokens; i++) parts.push(Float32Array.from(mean))
  }
  return joined(parts)
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** The whole matrices [vocabulary + added, hidden] that an adapter is stored with; none where nothing was added. */
export async function wholeMatrices(
  { config, tensors }: Checkpoint,
  flat: Float32Array,
): Promise<NewTensor[]> {
  const { vocabulary, addedTokens, hidden } = config
  if (addedTokens === 0) return []
  const names = tokenMatrices(config)
  const size = addedTokens * hidden
  const matrices: Omit<NewTensor, 'name'>[] = []
  for (const [i, name] of names.entries()) {
    const known = firstRows(tensors.get(name)!, vocabulary)
    const from = flat.length - (names.length - i) * size
    const rows = rounded(flat.slice(from, from + size), known.dtype)
    const data = new Uint8Array(known.bytes + rows.byteLength)
    data.set(new Uint8Array(await readBytes(known)))
    data.set(new Uint8Array(rows.buffer), known.bytes)
    const dtype = known.dtype as NewTensor['dtype']
    matrices.push({ dtype, shape: [vocabulary + addedTokens, hidden], data })
  }
  return savedMatrices.map(({ key }, i) => ({ name: key, ...(matrices[i] ?? matrices[0]!) }))
}

const rounded = (values: Float32Array<ArrayBuffer>, dtype: string) =>
  dtype === 'BF16' ? toBf16(values) : dtype === 'F16' ? new Float16Array(values) : values

/** The added rows of a stored adapter in flat order; empty where nothing was added. Throws FormatError where it has others. */
export async function readAddedRows(
  weights: string,
  { config, tensors: base, directory }: Checkpoint,
): Promise<Float32Array> {
  const { vocabulary, addedTokens, hidden } = config
  if (addedTokens === 0) return new Float32Array(0)
  const names = tokenMatrices(config)
  const { tensors } = await readHeader(weights)
  const found: Float32Array[] = []
  for (const [i, { key }] of savedMatrices.entries()) {
    const name = names[i] ?? names[0]!
    const info = tensors.get(key)
    const known = firstRows(base.get(name)!, vocabulary)
    const expected = [vocabulary + addedTokens, hidden]
    if (info?.shape.join() !== expected.join() || info.dtype !== known.dtype)
      throw new FormatError(
        `${weights}: tensor "${key}" is ${info ? `${info.dtype} [${info.shape}]` : 'missing'}, expected ${known.dtype} [${expected}]: the base's rows and ${addedTokens} more`,
      )
    if (!(await sameBytes(firstRows(info, vocabulary), known)))
      throw new FormatError(
        `${weights}: tensor "${key}" has other rows than ${name} of ${directory}; expected only the last ${addedTokens} to differ`,
      )
    const { offset, bytes } = info
    const shape = [addedTokens, hidden]
    found.push(
      await readTensor({
        ...info,
        shape,
        offset: offset + known.bytes,
        bytes: bytes - known.bytes,
      }),
    )
  }
  const [embedding, head] = found as [Float32Array, Float32Array]
  if (!config.tiedHead) return joined([embedding, head])
  if (embedding.some((x, i) => x !== head[i]))
    throw new FormatError(
      `${weights}: embedding and head have different rows of added tokens; expected the same, since the model's head is tied`,
    )
  return embedding
}

/** Of two tensors of one size, a part at a time: embeddings of large models have a gigabyte. */
async function sameBytes(a: TensorInfo, b: TensorInfo): Promise<boolean> {
  const most = 1 << 26
  for (let at = 0; at < a.bytes; at += most) {
    const bytes = Math.min(most, a.bytes - at)
    const [x, y] = await Promise.all(
      [a, b].map((info) => readBytes({ ...info, offset: info.offset + at, bytes })),
    )
    if (!Buffer.from(x!).equals(Buffer.from(y!))) return false
  }
  return true
}
