/**
 * The decoder of Llama (Touvron et al. 2023) and its relatives. Where families differ, the configuration
 * says how (families.ts).
 */
import type { Linear } from '#schema/spec.ts'
import { mulDims } from '../tensor/dim.ts'
import {
  add,
  call,
  cast,
  concat,
  keep,
  matmul,
  mul,
  reshape,
  rmsNorm,
  rope,
  rows,
  silu,
  split,
  tanh,
  weight,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DecoderConfig } from './config.ts'
import { replaced } from './addedTokens.ts'
import type { Stream } from './attention.ts'
import { normNames, type Activation } from './families.ts'
import { modules, width } from './linears.ts'

/**
 * Where the numbers come from. `parameter` gives a tensor by its name in the checkpoint; `linear` applies the projection at a
 * path, whose weight is `path.weight` [out, in]: the plain one for a base model, LoRA's for training.
 */
export type Parts = {
  parameter(name: string, shape: readonly number[]): Tensor
  linear(path: string, x: Tensor, out: number): Tensor
  /** Rows of tokens that the checkpoint lacks, [k, hidden] each; absent where there are none. */
  readonly added?: { readonly embedding: Tensor; readonly head: Tensor }
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
  /** The vocabulary's matrix [V, hidden]: logits are hidden · headᵀ, or `softCap` of that where there is a cap. */
  readonly head: Tensor
  readonly logitCap: number | null
  /** What each layer's attention hands on, which depends on the stream's sight. */
  readonly handed: readonly (readonly Tensor[])[]
  /** Its rows of added tokens [k, hidden]. */
  readonly addedHead: Tensor | null
}

/**
 * The decoder over a packed stream of N tokens. Parameters go by their names in a Hugging Face checkpoint; each layer is a
 * `call`, so the backward pass may recompute it.
 */
export function decoder(config: DecoderConfig, stream: Stream, parts: Parts): Forward {
  const { layers, hidden, vocabulary, tiedHead, windows, embeddingScale, logitScale, logitCap } =
    config
  const embedding = parts.parameter('model.embed_tokens.weight', [vocabulary, hidden])
  const { added } = parts
  const tokens = replaced(rows(embedding, stream.ids), stream.added, added?.embedding ?? null)
  let x = scaled(tokens, embeddingScale) // [N, hidden]
  const masks = new Map(windows.map((window) => [window, stream.sight.masks(window)]))
  const handed: (readonly Tensor[])[] = []
  for (let i = 0; i < layers; i++) {
    const [next, ...rest] = call(
      `model.layers.${i}`,
      [x, ...masks.get(windows[i]!)!],
      (y, ...given) => layer(config, stream, parts, i, y!, given),
    )
    x = next!
    handed.push(rest)
  }
  return {
    logitCap,
    hidden: scaled(norm(config, parts, 'model.norm', x), logitScale),
    head: tiedHead ? embedding : parts.parameter('lm_head.weight', [vocabulary, hidden]),
    handed,
    addedHead: added?.head ?? null,
  }
}

function layer(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  index: number,
  x: Tensor,
  masks: readonly Tensor[],
): Tensor[] {
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
  let handed: readonly Tensor[] = []
  const attended = added(
    names.attention,
    (y) => {
      const [out, ...rest] = attention(config, stream, parts, index, y, masks)
      handed = rest
      return out
    },
    x,
  )
  const middle = keep(add(x, attended))
  const out = add(
    middle,
    added(names.mlp, (y) => mlp(config, parts, path, y), middle),
  )
  return [out, ...handed]
}

/** By config.activation. */
const activated: Record<Activation, (x: Tensor) => Tensor> = {
  silu,
  // x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), Hendrycks & Gimpel 2016.
  gelu_pytorch_tanh(x) {
    const inner = mul(add(x, mul(mul(x, mul(x, x)), 0.044715)), Math.sqrt(2 / Math.PI))
    return mul(mul(x, 0.5), add(tanh(inner), 1))
  },
}

function mlp(config: DecoderConfig, parts: Parts, path: string, x: Tensor): Tensor {
  const [gate, up] = linears(config, parts, path, ['gate_proj', 'up_proj'], x).map(keep)
  return linears(
    config,
    parts,
    path,
    ['down_proj'],
    mul(activated[config.activation](gate!), up!),
  )[0]!
}

function attention(
  config: DecoderConfig,
  stream: Stream,
  parts: Parts,
  index: number,
  x: Tensor,
  masks: readonly Tensor[],
): readonly [Tensor, ...Tensor[]] {
  const { heads, kvHeads, headDim, queryKeyNorm, turns, attentionScale, attentionCap } = config
  const path = `model.layers.${index}`
  const normed = (name: string, y: Tensor, count: number) => {
    if (queryKeyNorm === 'none') return y
    const groups = queryKeyNorm === 'head' ? count : 1
    return norm(config, parts, `${path}.self_attn.${name}`, keep(y), groups)
  }
  const turn = turns[index] ?? null
  const turned = (y: Tensor, count: number) =>
    turn === null ? y : rotated(y, stream.ropes[turn]!, count, headDim)

  const [q, k, v] = linears(config, parts, path, ['q_proj', 'k_proj', 'v_proj'], x) // [N, heads·D]
  const [merged, ...handed] = stream.sight.attend(
    index,
    { heads, kvHeads, headDim, scale: attentionScale, cap: attentionCap },
    {
      q: turned(normed('q_norm', q!, heads), heads),
      k: turned(normed('k_norm', k!, kvHeads), kvHeads),
      v: v!,
    },
    masks,
  )
  return [linears(config, parts, path, ['o_proj'], merged)[0]!, ...handed]
}

/** Linears of a layer that read x, in the order of their names, with the biases that the configuration has. */
function linears(
  config: DecoderConfig,
  { linear, parameter }: Parts,
  layer: string,
  names: readonly Linear[],
  x: Tensor,
): Tensor[] {
  return modules(config)
    .filter(({ parts }) => names.includes(parts[0]!.linear))
    .flatMap((module) => {
      const path = `${layer}.${module.path}`
      const out = width(module)
      const y = linear(path, x, out)
      const biased = module.parts.every((part) => config.biases.includes(part.linear))
      const whole = biased ? add(y, parameter(`${path}.bias`, [out])) : y
      if (module.parts.length === 1) return [whole]
      return split(
        whole,
        1,
        module.parts.map((part) => part.out),
      )
    })
}

/** The first numbers of each of x's heads, as many as the tables have, turned by position: [N, heads·D]. */
function rotated(
  x: Tensor,
  { cos, sin }: Stream['ropes'][number],
  heads: number,
  headDim: number,
): Tensor {
  const [n, turned] = [x.shape[0]!, 2 * (cos.shape[1] as number)]
  if (turned === headDim) return rope(x, cos, sin, heads)
  const rows = mulDims(n, heads)
  const [front, back] = split(reshape(x, [rows, headDim]), 1, [turned, headDim - turned])
  const flat = rope(reshape(front!, [n, heads * turned]), cos, sin, heads)
  return reshape(concat([reshape(flat, [rows, turned]), back!], 1), x.shape)
}

/** x [N, width], normed as `groups` rows of equal width by the weight at a path [width / groups], plus the family's offset. */
function norm(
  { normEpsilon, normOffset }: DecoderConfig,
  { parameter }: Parts,
  path: string,
  x: Tensor,
  groups = 1,
): Tensor {
  const size = (x.shape[1] as number) / groups
  const w = parameter(`${path}.weight`, [size])
  // Added in float32, as transformers does: bfloat16 has three digits, and 1 + w would lose those of w.
  const normed = (y: Tensor) =>
    normOffset === 0
      ? rmsNorm(y, w, normEpsilon)
      : cast(
          rmsNorm(cast(y, 'float32'), add(cast(w, 'float32'), normOffset), normEpsilon),
          'compute',
        )
  if (groups === 1) return normed(x)
  return reshape(normed(reshape(x, [mulDims(x.shape[0]!, groups), size])), x.shape)
}

const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor))
