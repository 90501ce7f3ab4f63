/**
 * The decoder of Llama (Touvron et al. 2023) and its relatives on a forest of segments. Where families differ, the configuration
 * says how (families.ts).
 */
import type { Linear } from '#schema/spec.ts'
import { mulDims } from '../tensor/dim.ts'
import {
  add,
  call,
  keep,
  matmul,
  mul,
  reshape,
  rmsNorm,
  rope,
  rows,
  silu,
  weight,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DecoderConfig } from './config.ts'
import { attend } from './attention.ts'
import { normNames } from './families.ts'
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
  const { layers, hidden, vocabulary, tiedHead, windows, embeddingScale, logitScale } = config
  const embedding = parts.parameter('model.embed_tokens.weight', [vocabulary, hidden])
  let x = scaled(rows(embedding, stream.ids), embeddingScale) // [N, hidden]
  const masks = new Map(windows.map((window) => [window, causalMasks(stream, window)]))
  for (let i = 0; i < layers; i++) {
    x = call(`model.layers.${i}`, [x, ...masks.get(windows[i]!)!], (y, ...given) => [
      layer(config, stream, parts, i, y!, given),
    ])[0]!
  }
  return {
    hidden: scaled(norm(config, parts, 'model.norm', x), logitScale),
    head: tiedHead ? embedding : parts.parameter('lm_head.weight', [vocabulary, hidden]),
  }
}

function layer(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  index: number,
  x: Tensor,
  masks: readonly Tensor[],
): Tensor {
  const path = `model.layers.${index}`
  const names = normNames[config.norms]
  /** What a block adds to the residual stream. */
  const added = (
    [before, after]: readonly [string | null, string | null],
    block: (y: Tensor) => Tensor,
    y: Tensor,
  ) => {
    const out = block(before ? norm(config, parts, `${path}.${before}`, y) : y)
    return scaled(
      after ? norm(config, parts, `${path}.${after}`, keep(out)) : out,
      config.residualScale,
    )
  }
  const attended = added(
    names.attention,
    (y) => attention(config, stream, parts, index, y, masks),
    x,
  )
  const middle = keep(add(x, attended))
  return add(
    middle,
    added(names.mlp, (y) => mlp(config, parts, `${path}.mlp`, y), middle),
  )
}

function mlp(config: DecoderConfig, parts: Parts, path: string, x: Tensor): Tensor {
  const { hidden, intermediate } = config
  const linear = biased(config, parts, path)
  const gate = keep(linear('gate_proj', x, intermediate))
  const up = keep(linear('up_proj', x, intermediate))
  return linear('down_proj', mul(silu(gate), up), hidden)
}

function attention(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  index: number,
  x: Tensor,
  masks: readonly Tensor[],
): Tensor {
  const { heads, kvHeads, headDim, hidden, queryKeyNorm, turns, attentionScale } = config
  const path = `model.layers.${index}.self_attn`
  const linear = biased(config, parts, path)
  const { cos, sin } = stream
  const placed = (name: 'q' | 'k', count: number) => {
    const y = linear(`${name}_proj`, x, count * headDim)
    const normed =
      queryKeyNorm === 'none'
        ? y
        : norm(config, parts, `${path}.${name}_norm`, keep(y), queryKeyNorm === 'head' ? count : 1)
    return turns[index] ? rope(normed, cos, sin, count) : normed
  }
  const q = placed('q', heads) // [N, heads·D]
  const k = placed('k', kvHeads)
  const v = linear('v_proj', x, kvHeads * headDim)
  const merged = attend({ heads, kvHeads, headDim, scale: attentionScale }, stream, q, k, v, masks)
  return linear('o_proj', merged, hidden)
}

/** x [N, width], normed as `groups` rows of equal width by the weight at a path, [width / groups]. */
function norm(
  { normEpsilon }: DecoderConfig,
  { parameter }: Parts,
  path: string,
  x: Tensor,
  groups = 1,
): Tensor {
  const width = (x.shape[1] as number) / groups
  const normed = (y: Tensor) => rmsNorm(y, parameter(`${path}.weight`, [width]), normEpsilon)
  if (groups === 1) return normed(x)
  return reshape(normed(reshape(x, [mulDims(x.shape[0]!, groups), width])), x.shape)
}

const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor))

/** The linears of a block, with a bias where the configuration has one. */
const biased =
  ({ biases }: DecoderConfig, { linear, parameter }: Parts, block: string) =>
  (name: Linear, x: Tensor, out: number): Tensor => {
    const y = linear(`${block}.${name}`, x, out)
    return biases.includes(name) ? add(y, parameter(`${block}.${name}.bias`, [out])) : y
  }
