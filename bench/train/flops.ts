/**
 * Floating-point operations that ORPO needs for a pair, and no others: the prompt is computed once for both answers, nothing is
 * computed twice, nothing is spent on what may not be seen. A measure for trainers, whatever they really spend.
 */

/** What of a model's configuration the count depends on. */
export type Sizes = {
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly intermediate: number
  readonly vocabulary: number
}

/** Tokens on the stream: prompt, and answers without their last token, from which nothing is predicted. */
export type Lengths = {
  readonly prompt: number
  readonly chosen: number
  readonly rejected: number
}

/** A weight of the frozen base: y = x Wᵀ from `in` to `out` values. */
export type Linear = { readonly name: string; readonly in: number; readonly out: number }

export type Flops = {
  /** Frozen linears of all layers: forward and dx. LoRA is not counted. */
  readonly linears: number
  /** The projection onto the vocabulary: logits, and the gradient of its input. */
  readonly vocabulary: number
  /** Scores, values and their four gradients over pairs of positions that see each other. */
  readonly attention: number
}

/** The linears of one layer. */
export function linearsOf({ hidden, heads, kvHeads, headDim, intermediate }: Sizes): Linear[] {
  const linear = (name: string, from: number, to: number): Linear => ({ name, in: from, out: to })
  return [
    linear('q_proj', hidden, heads * headDim),
    linear('k_proj', hidden, kvHeads * headDim),
    linear('v_proj', hidden, kvHeads * headDim),
    linear('o_proj', heads * headDim, hidden),
    linear('gate_proj', hidden, intermediate),
    linear('up_proj', hidden, intermediate),
    linear('down_proj', intermediate, hidden),
  ]
}

export const streamLength = ({ prompt, chosen, rejected }: Lengths): number =>
  prompt + chosen + rejected

/**
 * (query, key) positions that see each other, per head: each segment causally, and answers all of their prompt.
 *
 *     prompt 2, chosen 1, rejected 2      3 + (2 + 1) + (2·2 + 3) = 13
 */
export const visible = ({ prompt, chosen, rejected }: Lengths): number => {
  const causal = (n: number) => (n * (n + 1)) / 2
  return causal(prompt) + (chosen + rejected) * prompt + causal(chosen) + causal(rejected)
}

/** A multiplication and an addition are two. */
export function neededFlops(config: Sizes, lengths: Lengths): Flops {
  const { layers, heads, headDim, hidden, vocabulary } = config
  const tokens = streamLength(lengths)
  const weights = linearsOf(config).reduce((n, l) => n + l.in * l.out, 0)
  return {
    linears: 2 * 2 * layers * weights * tokens,
    // Every position of the stream predicts something.
    vocabulary: 2 * 2 * vocabulary * hidden * tokens,
    attention: 6 * 2 * layers * heads * headDim * visible(lengths),
  }
}

export const totalFlops = ({ linears, vocabulary, attention }: Flops): number =>
  linears + vocabulary + attention

/** By component. */
export const sumFlops = (all: readonly Flops[]): Flops => ({
  linears: all.reduce((n, f) => n + f.linears, 0),
  vocabulary: all.reduce((n, f) => n + f.vocabulary, 0),
  attention: all.reduce((n, f) => n + f.attention, 0),
})
