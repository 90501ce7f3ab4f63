/**
 * The decoder of Llama (Touvron et al. 2023) and its relatives on a forest of segments. Where families differ, the configuration
 * says how (families.ts).
 */
import type { Linear } from '#schema/spec.ts'
import { add, call, keep, matmul, mul, rmsNorm, rope, rows, silu, weight } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DecoderConfig } from './config.ts'
import { attend } from './attention.ts'
import { causalMasks, type Stream } from './forest.ts'

/**
 * Where the numbers come from. `parameter` gives a tensor by its name in the checkpoint; `linear` applies the projection at a
 * path, whose weight is `path.weight` [out, in]: the plain one for a base model, LoRA's for training.
 */
export type Parts = {
  parameter(name: string, shape: readonly number[]): Tensor
  linear(path: string, x: Tensor, out: number): Tensor
}

/** Parts of a frozen checkpoint. */
export const frozen: Parts = {
  parameter: weight,
  linear: (path, x, out) =>
    matmul(x, weight(`${path}.weight`, [out, x.shape.at(-1) as number]), { transB: true }),
}

/** What a forward pass ends in: logits are left to whoever needs them, since [N, V] would be the largest value by far. */
export type Forward = {
  /** Final hidden states, normed: [N, hidden]. */
  readonly hidden: Tensor
  /** The vocabulary's matrix [V, hidden]: logits are hidden · headᵀ. */
  readonly head: Tensor
}

/**
 * The decoder over a packed stream of N tokens. Parameters go by their names in a Hugging Face checkpoint; each layer is a
 * `call`, so the backward pass may recompute it.
 */
export function decoder(config: DecoderConfig, stream: Stream, parts: Parts): Forward {
  const { layers, hidden, vocabulary, normEpsilon, tiedHead, windows } = config
  const embedding = parts.parameter('model.embed_tokens.weight', [vocabulary, hidden])
  let x = rows(embedding, stream.ids) // [N, hidden]
  const masks = new Map(windows.map((window) => [window, causalMasks(stream, window)]))
  for (let i = 0; i < layers; i++) {
    const path = `model.layers.${i}`
    x = call(path, [x, ...masks.get(windows[i]!)!], (y, ...given) => [
      layer(config, stream, parts, path, y!, given),
    ])[0]!
  }
  return {
    hidden: rmsNorm(x, parts.parameter('model.norm.weight', [hidden]), normEpsilon),
    head: tiedHead ? embedding : parts.parameter('lm_head.weight', [vocabulary, hidden]),
  }
}

function layer(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  path: string,
  x: Tensor,
  masks: readonly Tensor[],
): Tensor {
  const { hidden, intermediate, normEpsilon } = config
  const norm = (name: string, y: Tensor) =>
    rmsNorm(y, parts.parameter(`${path}.${name}.weight`, [hidden]), normEpsilon)
  const linear = biased(config, parts, `${path}.mlp`)

  const attended = attention(config, stream, parts, path, norm('input_layernorm', x), masks)
  const middle = keep(add(x, attended))

  const n = norm('post_attention_layernorm', middle)
  const gate = keep(linear('gate_proj', n, intermediate))
  const up = keep(linear('up_proj', n, intermediate))
  return add(middle, linear('down_proj', mul(silu(gate), up), hidden))
}

function attention(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  path: string,
  x: Tensor,
  masks: readonly Tensor[],
): Tensor {
  const { heads, kvHeads, headDim, hidden } = config
  const { cos, sin } = stream
  const linear = biased(config, parts, `${path}.self_attn`)
  const q = rope(linear('q_proj', x, heads * headDim), cos, sin, heads)
  const k = rope(linear('k_proj', x, kvHeads * headDim), cos, sin, kvHeads)
  const v = linear('v_proj', x, kvHeads * headDim)
  const merged = attend({ heads, kvHeads, headDim, scale: headDim ** -0.5 }, stream, q, k, v, masks)
  return linear('o_proj', merged, hidden)
}

/** The linears of a block, with a bias where the configuration has one. */
const biased =
  ({ biases }: DecoderConfig, { linear, parameter }: Parts, block: string) =>
  (name: Linear, x: Tensor, out: number): Tensor => {
    const y = linear(`${block}.${name}`, x, out)
    return biases.includes(name) ? add(y, parameter(`${block}.${name}.bias`, [out])) : y
  }
