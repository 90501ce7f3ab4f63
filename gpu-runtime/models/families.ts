/**
 * How the model families differ: a row each, over the one decoder of decoder.ts. Names of fields and their defaults are those of
 * the configuration classes of transformers 5.24.
 */
import type { Family } from '#schema/families.ts'
import type { Linear } from '#schema/spec.ts'
import type { Fields } from './fields.ts'

/** What the decoder does in one family and not in another. */
export type Differences = {
  /** How many positions each layer sees, its own and those before it; null for all. */
  readonly windows: readonly (number | null)[]
  /** Which linears have a bias. */
  readonly biases: readonly Linear[]
}

type Row = {
  /** What an absent field means, where it is not what it means to Llama. */
  readonly absent?: Partial<typeof absent>
  readonly read: (read: Fields, layers: number) => Partial<Differences>
}

/** Llama's. `kvHeads` null: as many as heads; `headDim` null: hidden size / heads. */
export const absent = {
  kvHeads: null as number | null,
  headDim: null as number | null,
  maxPositions: 2048,
  normEpsilon: 1e-6,
  theta: 10_000,
  tiedHead: false,
}

/** Llama's. */
export const plain = (layers: number): Differences => ({
  windows: Array.from({ length: layers }, () => null),
  biases: [],
})

export const rows: { readonly [F in Family]: Row } = {
  llama: { read: (read) => ({ biases: [...attentionBiases(read), ...mlpBiases(read)] }) },
  mistral: {
    absent: { kvHeads: 8, maxPositions: 131_072 },
    read(read, layers) {
      const window = read.countOrNull('sliding_window', 4096)
      return { windows: Array.from({ length: layers }, () => window) }
    },
  },
  qwen2: {
    absent: { kvHeads: 32, maxPositions: 32_768 },
    read: (read, layers) => ({
      biases: ['q_proj', 'k_proj', 'v_proj'],
      windows: lateWindows(read, layers),
    }),
  },
}

const attentionBiases = (read: Fields): Linear[] =>
  read.flag('attention_bias', false) ? ['q_proj', 'k_proj', 'v_proj', 'o_proj'] : []
const mlpBiases = (read: Fields): Linear[] =>
  read.flag('mlp_bias', false) ? ['gate_proj', 'up_proj', 'down_proj'] : []

const kinds = ['full_attention', 'sliding_attention'] as const

/** Qwen's: where windows are used at all, layers from `max_window_layers` on have one, or those that `layer_types` says. */
function lateWindows(read: Fields, layers: number): (number | null)[] {
  const window = read.flag('use_sliding_window', false)
    ? read.countOrNull('sliding_window', 4096)
    : null
  const first = read.count('max_window_layers', 28)
  const types =
    read.ofLayers('layer_types', layers, window === null ? kinds.slice(0, 1) : kinds) ??
    Array.from({ length: layers }, (_, i) => (i >= first ? 'sliding_attention' : 'full_attention'))
  return types.map((type) => (type === 'sliding_attention' ? window : null))
}
