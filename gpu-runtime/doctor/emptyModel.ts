/** Checkpoints of real shapes whose weights are holes: as large as the real ones to look at, and no larger than a header on disk. */
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dtypeBytes } from '../files/dtype.ts'
import type { TensorPlan } from '../files/safetensors.ts'
import { nf4File, nf4Tensors } from '../quantization/store.ts'

/** What the shapes of a Llama's weights depend on. */
export type ModelShape = {
  readonly layers: number
  readonly hidden: number
  readonly intermediate: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocabulary: number
  readonly tiedHead: boolean
}

/** Weights of a Llama by name, with their shapes. */
export function weightShapes(shape: ModelShape): [name: string, dims: number[]][] {
  const { layers, hidden, intermediate, heads, kvHeads, headDim, vocabulary, tiedHead } = shape
  const inLayer: [string, number[]][] = [
    ['input_layernorm', [hidden]],
    ['post_attention_layernorm', [hidden]],
    ['self_attn.q_proj', [heads * headDim, hidden]],
    ['self_attn.k_proj', [kvHeads * headDim, hidden]],
    ['self_attn.v_proj', [kvHeads * headDim, hidden]],
    ['self_attn.o_proj', [hidden, heads * headDim]],
    ['mlp.gate_proj', [intermediate, hidden]],
    ['mlp.up_proj', [intermediate, hidden]],
    ['mlp.down_proj', [hidden, intermediate]],
  ]
  return [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ['model.norm.weight', [hidden]],
    ...(tiedHead ? [] : ([['lm_head.weight', [vocabulary, hidden]]] as [string, number[]][])),
    ...Array.from({ length: layers }, (_, i) =>
      inLayer.map(([name, dims]): [string, number[]] => [`model.layers.${i}.${name}.weight`, dims]),
    ).flat(),
  ]
}

/** config.json of a Llama of these shapes. */
export const configJson = (shape: ModelShape) => ({
  model_type: 'llama',
  hidden_size: shape.hidden,
  intermediate_size: shape.intermediate,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  head_dim: shape.headDim,
  vocab_size: shape.vocabulary,
  tie_word_embeddings: shape.tiedHead,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
})

/** A model directory in bfloat16, all zeros. */
export async function writeEmptyModel(directory: string, shape: ModelShape): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'config.json'), JSON.stringify(configJson(shape)))
  await writeSparse(
    join(directory, 'model.safetensors'),
    weightShapes(shape).map(([name, dims]) => ({ name, dtype: 'BF16', shape: dims })),
  )
}

/** Beside a model, the matrices of its layers in NF4, as if they had been quantized. */
export async function writeEmptyNf4(
  directory: string,
  revision: string,
  shape: ModelShape,
): Promise<void> {
  const folder = join(directory, '.oddsmith')
  await mkdir(folder, { recursive: true })
  const linears = weightShapes(shape).filter(([name]) => name.endsWith('_proj.weight'))
  await writeSparse(
    join(folder, nf4File(revision)),
    linears.flatMap(([name, dims]) => nf4Tensors({ name, shape: dims })),
  )
}

/** A safetensors file of a header and a hole. */
async function writeSparse(path: string, tensors: readonly TensorPlan[]): Promise<void> {
  let end = 0
  const entries = tensors.map(({ name, dtype, shape }) => {
    const begin = end
    end += shape.reduce((a, b) => a * b, dtypeBytes[dtype])
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const
  })
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ')
  header.writeBigUInt64LE(BigInt(header.length - 8))
  json.copy(header, 8)
  const file = await open(path, 'w')
  try {
    await file.write(header)
    await file.truncate(header.length + end)
  } finally {
    await file.close()
  }
}
