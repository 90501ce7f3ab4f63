/**
 * How the model families differ: a row each, over the one decoder of decoder.ts. Names of fields and their defaults are those of
 * the configuration classes of transformers 5.24.
 */
import type { Family } from '#schema/families.ts'
import type { Linear } from '#schema/spec.ts'
import type { Fields } from './fields.ts'
import { globalAndLocalRope, oneRope, partialRope } from './rope.ts'

/** What the decoder does in one family and not in another. */
export type Differences = {
  /** How many positions each layer sees, its own and those before it; null for all. */
  readonly windows: readonly (number | null)[]
  /** By which of the configuration's `ropes` each layer turns its queries and keys; null where it does not. */
  readonly turns: readonly (number | null)[]
  /** Linears that lie side by side in one: its name, and theirs. */
  readonly fused: Readonly<Record<string, readonly Linear[]>>
  /** Which linears have a bias. */
  readonly biases: readonly Linear[]
  /** Queries and keys are normed before they are turned: each head by itself, or all heads together. */
  readonly queryKeyNorm: 'none' | 'head' | 'whole'
  /** Where a layer norms: what goes into attention and MLP, what comes out and is added to the residual stream, or both. */
  readonly norms: keyof typeof normNames
  /** Weights of norms are stored less this. */
  readonly normOffset: number
  /** Scores are q · k times this, and go through cap · tanh(score / cap) where there is a cap. */
  readonly attentionScale: number
  readonly attentionCap: number | null
  /** Factors of embeddings, of what attention and MLP add to the residual stream, and of logits. */
  readonly embeddingScale: number
  readonly residualScale: number
  readonly logitScale: number
  /** And logits through cap · tanh(logit / cap). */
  readonly logitCap: number | null
}

/** Names of a layer's norms [before, after] attention and MLP; null where there is none. */
export const normNames = {
  before: { attention: ['input_layernorm', null], mlp: ['post_attention_layernorm', null] },
  after: {
    attention: [null, 'post_attention_layernorm'],
    mlp: [null, 'post_feedforward_layernorm'],
  },
  around: {
    attention: ['input_layernorm', 'post_attention_layernorm'],
    mlp: ['pre_feedforward_layernorm', 'post_feedforward_layernorm'],
  },
} as const

/** By their names in `hidden_act`. */
export const activations = ['silu', 'gelu_pytorch_tanh'] as const
export type Activation = (typeof activations)[number]

type Size = { readonly layers: number; readonly headDim: number; readonly hidden: number }

type Row = {
  /** Settings of rotary embeddings, where they are not one for all of a head. */
  readonly ropes?: typeof oneRope
  /** The field that names the gate's activation, where it is not `hidden_act`. */
  readonly activation?: 'hidden_activation'
  /** What an absent field means, where it is not what it means to Llama. */
  readonly absent?: Partial<typeof absent>
  readonly read: (read: Fields, size: Size) => Partial<Differences>
}

/** Llama's. `kvHeads` null: as many as heads; `headDim` null: hidden size / heads. */
export const absent = {
  kvHeads: null as number | null,
  headDim: null as number | null,
  maxPositions: 2048,
  normEpsilon: 1e-6,
  theta: 10_000,
  tiedHead: false,
  activation: 'silu' as Activation,
}

/** Llama's. */
export const plain = ({ layers, headDim }: Size): Differences => ({
  windows: Array.from({ length: layers }, () => null),
  turns: Array.from({ length: layers }, () => 0),
  fused: {},
  biases: [],
  queryKeyNorm: 'none',
  norms: 'before',
  normOffset: 0,
  attentionScale: headDim ** -0.5,
  attentionCap: null,
  embeddingScale: 1,
  residualScale: 1,
  logitScale: 1,
  logitCap: null,
})

const gemmaAbsent = {
  kvHeads: 4,
  headDim: 256,
  tiedHead: true,
  activation: 'gelu_pytorch_tanh',
} as const

export const rows: { readonly [F in Family]: Row } = {
  llama: { read: (read) => ({ biases: biases(read) }) },
  mistral: {
    absent: { kvHeads: 8, maxPositions: 131_072 },
    read: (read, size) => ({ windows: sameWindow(read, size, 4096) }),
  },
  qwen2: {
    absent: { kvHeads: 32, maxPositions: 32_768 },
    read: (read, size) => ({
      biases: ['q_proj', 'k_proj', 'v_proj'],
      windows: lateWindows(read, size),
    }),
  },
  qwen3: {
    absent: { kvHeads: 32, headDim: 128, maxPositions: 32_768 },
    read: (read, size) => ({
      biases: biases(read, ['attention_bias']),
      queryKeyNorm: 'head',
      windows: lateWindows(read, size),
    }),
  },
  smollm3: {
    absent: { kvHeads: 4, maxPositions: 32_768, theta: 2e6, tiedHead: true },
    read(read, { layers }) {
      const interval = read.count('no_rope_layer_interval', 4)
      const turned =
        read.ofLayers('no_rope_layers', layers, [0, 1])?.map(Boolean) ??
        Array.from({ length: layers }, (_, i) => (i + 1) % interval !== 0)
      return {
        biases: biases(read),
        turns: turned.map((t) => (t ? 0 : null)),
        windows: windowsOf(read, usedWindow(read, null), layers, (i) => !turned[i]),
      }
    },
  },
  olmo2: {
    absent: { normEpsilon: 1e-5 },
    read: (read) => ({
      biases: biases(read, ['attention_bias']),
      queryKeyNorm: 'whole',
      norms: 'after',
    }),
  },
  phi3: {
    absent: { maxPositions: 4096, normEpsilon: 1e-5 },
    ropes: partialRope,
    read: (read, size) => ({
      windows: sameWindow(read, size, null),
      fused: {
        qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
        gate_up_proj: ['gate_proj', 'up_proj'],
      },
    }),
  },
  gemma2: {
    absent: { ...gemmaAbsent, maxPositions: 8192 },
    activation: 'hidden_activation',
    read: (read, size) => ({
      ...gemma(read, size),
      windows: alternatingWindows(read, size, 2),
      attentionCap: read.positiveOrNull('attn_logit_softcapping', 50),
      logitCap: read.positiveOrNull('final_logit_softcapping', 30),
    }),
  },
  gemma3_text: {
    absent: { ...gemmaAbsent, maxPositions: 131_072 },
    activation: 'hidden_activation',
    ropes: globalAndLocalRope,
    read(read, size) {
      read.only('attn_logit_softcapping', null, 'Gemma 3 norms queries and keys instead')
      const windows = alternatingWindows(read, size, read.count('sliding_window_pattern', 6))
      return {
        ...gemma(read, size),
        queryKeyNorm: 'head',
        windows,
        turns: windows.map((window) => (window === null ? 0 : 1)),
        logitCap: read.positiveOrNull('final_logit_softcapping', null),
      }
    },
  },
  granite: {
    read: (read) => ({
      biases: biases(read),
      attentionScale: read.positive('attention_multiplier', 1),
      embeddingScale: read.positive('embedding_multiplier', 1),
      residualScale: read.positive('residual_multiplier', 1),
      logitScale: 1 / read.positive('logits_scaling', 1),
    }),
  },
}

/** What Gemma 2 and 3 share. */
function gemma(read: Fields, { hidden }: Size): Partial<Differences> {
  read.only('use_bidirectional_attention', false, 'every token sees those before it')
  return {
    biases: biases(read, ['attention_bias']),
    norms: 'around',
    normOffset: 1,
    embeddingScale: Math.sqrt(hidden),
    attentionScale: read.positive('query_pre_attn_scalar', 256) ** -0.5,
  }
}

const biased = {
  attention_bias: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
  mlp_bias: ['gate_proj', 'up_proj', 'down_proj'],
} as const satisfies Record<string, readonly Linear[]>

/** The linears that have a bias by those of the two fields that the family reads. */
const biases = (
  read: Fields,
  flags: readonly (keyof typeof biased)[] = ['attention_bias', 'mlp_bias'],
): Linear[] => flags.flatMap((flag) => (read.flag(flag, false) ? biased[flag] : []))

/** Mistral's and Phi-3's: one for all layers. */
function sameWindow(read: Fields, { layers }: Size, absent: number | null): (number | null)[] {
  const window = read.countOrNull('sliding_window', absent)
  return Array.from({ length: layers }, () => window)
}

/** Qwen's: layers from `max_window_layers` on. */
function lateWindows(read: Fields, { layers }: Size): (number | null)[] {
  const first = read.count('max_window_layers', 28)
  return windowsOf(read, usedWindow(read, 4096), layers, (i) => i >= first)
}

/** Gemma's: on all layers but each `pattern`-th. */
const alternatingWindows = (read: Fields, { layers }: Size, pattern: number): (number | null)[] =>
  windowsOf(read, read.countOrNull('sliding_window', 4096), layers, (i) => (i + 1) % pattern !== 0)

const usedWindow = (read: Fields, absent: number | null): number | null =>
  read.flag('use_sliding_window', false) ? read.countOrNull('sliding_window', absent) : null

/** `window` on the layers that `layer_types` says, or else on those that the family's rule says. */
function windowsOf(
  read: Fields,
  window: number | null,
  layers: number,
  rule: (layer: number) => boolean,
): (number | null)[] {
  const kinds = ['full_attention', 'sliding_attention'] as const
  const said = read.ofLayers('layer_types', layers, window === null ? kinds.slice(0, 1) : kinds)
  return Array.from({ length: layers }, (_, i) =>
    (said ? said[i] === 'sliding_attention' : rule(i)) ? window : null,
  )
}
