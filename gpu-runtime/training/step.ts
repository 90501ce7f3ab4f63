/** The training step: its graph, and the feeds of one run from token pairs. */
import { nllOf, type LoraSpec, type Nll, type Recipe } from '#schema/spec.ts'
import { dialects } from '../data/dialects.ts'
import { answerLength, type Pair } from '../data/pair.ts'
import { dropoutFeeds, type Coins, type Span } from '../lora/dropout.ts'
import { lora } from '../lora/lora.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import { layout, stream, type Placed, type Segment } from '../models/forest.ts'
import { decoder } from '../models/decoder.ts'
import { logProbabilities, place, predictionCount, type Target } from '../models/predictions.ts'
import { emit, type ComputeType, type Emitted, type Program } from '../onnx/emit.ts'
import type { Outputs } from '../onnx/engine.ts'
import { floats, type Feeds } from '../tensor/feed.ts'
import { gradient, type Recompute } from '../tensor/gradient.ts'
import { add, cast, constant, div, input, matmul, sum } from '../tensor/ops.ts'
import { simplify } from '../tensor/simplify.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DecoderConfig } from '../models/config.ts'
import { orpo } from './orpo.ts'

/** prompt > { chosen, rejected } */
const depth = 2

/** Blocks of attention's rows. A small model's scores cost less than the nodes that would save them. */
const blocks = ({ hidden }: DecoderConfig): number => (hidden >= 256 ? 2 : 1)

/**
 * Forward, ORPO loss and the gradient of every LoRA matrix as one program, for any number of pairs; `beta` is ORPO's λ. A
 * `scaled` program computes gradients from the loss times its input `lossScale` and divides them by it in the end, for float16,
 * in which small ones would vanish. Outputs:
 * scalars `loss` and `nll`; `chosen`, `rejected`, `logOdds`, `ratio` [pairs]; `meanLogits` [N, 1].
 */
export function stepProgram(
  config: DecoderConfig,
  spec: LoraSpec,
  beta: number,
  recompute: Recompute,
  scaled = false,
): Required<Program> {
  const { parts, trainables } = lora(config, spec, spec.dropout)
  const forward = decoder(config, stream(config, depth, blocks(config)), parts)
  const { loss, nll, chosen, rejected, logOdds, ratio } = orpo(
    logProbabilities(forward),
    predictionCount,
    beta,
  )
  // [N, 1]: the mean over the vocabulary of each position's logits (before their cap), without logits.
  const wide = cast(forward.hidden, 'float32')
  const known = matmul(wide, input('meanHeadRow', [config.hidden, 1]))
  const all = config.vocabulary + config.addedTokens
  const meanLogits = forward.addedHead
    ? add(known, sum(matmul(wide, forward.addedHead, { transB: true, scale: 1 / all }), [1]))
    : known
  const cotangent = scaled ? input('lossScale', []) : constant(1)
  const scaledGradients = gradient(new Map([[loss, cotangent]]), trainables, recompute) as Tensor[]
  const gradients = scaled ? scaledGradients.map((g) => div(g, cotangent)) : scaledGradients
  return simplified({
    outputs: { loss, nll, chosen, rejected, logOdds, ratio, meanLogits },
    trainables,
    gradients,
  })
}

function simplified({ outputs, trainables, gradients }: Required<Program>): Required<Program> {
  const names = Object.keys(outputs)
  const roots = simplify([...Object.values(outputs), ...gradients])
  return {
    outputs: Object.fromEntries(names.map((name, i) => [name, roots[i]!])),
    trainables,
    gradients: roots.slice(names.length),
  }
}

/** `stepProgram` in ONNX on a checkpoint's weights. Throws FormatError when one is missing or has another shape. */
export const stepGraph = (
  { config, weight }: Checkpoint,
  spec: LoraSpec,
  beta: number,
  recompute: Recompute,
  compute: ComputeType = 'float32',
): Emitted =>
  emit(stepProgram(config, spec, beta, recompute, compute === 'float16'), weight, compute)

/** Losses are means over this many terms: of one logical micro-batch, times the number of micro-batches in a step. */
export type Denominators = {
  /** What each of the pair's NLL terms is divided by: for a mean over tokens, those of the pair's micro-batch. */
  readonly nllTokens: number
  /** Pairs in the pair's micro-batch. */
  readonly pairs: number
  readonly accumulation: number
}

/** Tokens that the NLL of a pair covers. The first token of the prompt is not predicted. */
export const nllTokens = (pair: Pair, nll: Nll): number =>
  nll === 'CHOSEN' ? answerLength(pair, 'chosen') : pair.prompt.length - 1 + pair.chosen.length

/** Of each pair of a micro-batch, which is one of `accumulation` in its step. */
export function denominators(
  batch: readonly Pair[],
  recipe: Pick<Recipe, 'dialect' | 'nll'>,
  accumulation: number,
): Denominators[] {
  const sizes = batch.map((pair) => nllTokens(pair, nllOf(recipe)))
  const tokens = sizes.reduce((a, b) => a + b, 0)
  const bySequence = dialects[recipe.dialect].nllMean === 'SEQUENCES'
  return sizes.map((size) => ({
    nllTokens: bySequence ? size * batch.length : tokens,
    pairs: batch.length,
    accumulation,
  }))
}

/** Tokens of a pair on the stream: the prompt once, answers without their last token, from which nothing is predicted. */
export const streamTokens = ({ prompt, chosen, rejected }: Pair): number =>
  prompt.length + chosen.length + rejected.length - 2

/** Pairs laid out for one run of the step's graph. `tokens` are those on the stream, without the blank. */
export type Prepared = {
  readonly feeds: Feeds
  readonly pairs: readonly Pair[]
  readonly tokens: number
  /** Stream rows [from, to) whose logits belong to the chosen and the rejected side of each pair. */
  readonly sides: readonly {
    readonly chosen: readonly Range[]
    readonly rejected: readonly Range[]
  }[]
}
type Range = readonly [from: number, to: number]

/** Lay out pairs for one run; each pair carries the denominators of its logical micro-batch. `coins` are of a graph with dropout. */
export function prepare(
  config: DecoderConfig,
  pairs: readonly Pair[],
  denominators: readonly Denominators[],
  nll: Nll,
  meanHeadRow: Float32Array,
  coins: Coins | null = null,
): Prepared {
  const roots = pairs.map(({ prompt, chosen, rejected }): Segment => ({
    ids: prompt,
    children: [{ ids: chosen.slice(0, -1) }, { ids: rejected.slice(0, -1) }],
  }))
  const placed = layout(config, roots, depth, 0, { blocks: blocks(config) })
  const targets: Target[] = []
  const spans = pairs.map((pair, i) => {
    const root = placed.roots[i]!
    /** Predict the tokens of a branch from the one numbered `first`; their range in `targets`. */
    const predict = (side: 0 | 1, ids: readonly number[], first: number): Range => {
      const start = targets.length
      const branch = root.children[side]!
      for (let t = first; t < ids.length; t++)
        targets.push({
          source: t === 0 ? root.start + root.length - 1 : branch.start + t - 1,
          token: ids[t]!,
        })
      return [start, targets.length]
    }
    const from = targets.length
    for (let t = 1; t < pair.prompt.length; t++)
      targets.push({ source: root.start + t - 1, token: pair.prompt[t]! })
    const { chosen: lead, rejected: otherLead } = pair.lead ?? { chosen: 0, rejected: 0 }
    const [, answer] = predict(0, pair.chosen, 0)
    const chosen: Range = [answer - pair.chosen.length + lead, answer]
    return {
      prompt: [from, chosen[0]] as Range,
      chosen,
      rejected: predict(1, pair.rejected, otherLead),
    }
  })
  const { feeds, index, count } = place(placed, targets)
  const nllWeights = new Float32Array(count)
  const chosenWeights = new Float32Array(pairs.length * count)
  const rejectedWeights = new Float32Array(pairs.length * count)
  const pairWeights = new Float32Array(pairs.length)
  const fill = (weights: Float32Array, [from, to]: Range, value: number, offset = 0) => {
    for (let i = from; i < to; i++) weights[offset + index[i]!] = value
  }
  pairs.forEach((pair, b) => {
    const { nllTokens: n, pairs: size, accumulation } = denominators[b]!
    const { prompt, chosen, rejected } = spans[b]!
    if (nll === 'PROMPT_AND_CHOSEN') fill(nllWeights, prompt, 1 / (n * accumulation))
    fill(nllWeights, chosen, 1 / (n * accumulation))
    fill(chosenWeights, chosen, 1 / answerLength(pair, 'chosen'), b * count)
    fill(rejectedWeights, rejected, 1 / answerLength(pair, 'rejected'), b * count)
    pairWeights[b] = 1 / (size * accumulation)
  })
  const rows = ({ start, length }: Placed): Range => [start, start + length]
  return {
    feeds: {
      ...placed.feeds,
      ...feeds,
      nllWeights: floats(nllWeights),
      chosenWeights: floats(chosenWeights, [pairs.length, count]),
      rejectedWeights: floats(rejectedWeights, [pairs.length, count]),
      pairWeights: floats(pairWeights),
      meanHeadRow: floats(meanHeadRow, [config.hidden, 1]),
      ...(coins && dropoutFeeds(coins, segments(pairs, placed.roots), placed.tokens)),
    },
    pairs,
    tokens: placed.tokens - 1,
    sides: placed.roots.map((root) => ({
      chosen: [rows(root), rows(root.children[0]!)],
      rejected: [rows(root), rows(root.children[1]!)],
    })),
  }
}

/** Prompt, chosen and rejected of each pair, numbered so. */
const segments = (pairs: readonly Pair[], roots: readonly Placed[]): Span[] =>
  roots.flatMap((root, i) =>
    [root, ...root.children].map(({ start, length }, segment) => ({
      row: pairs[i]!.row,
      segment,
      start,
      length,
    })),
  )

/** What one pair contributed to the metrics of its micro-batch. */
export type PairOutcome = {
  readonly chosen: number
  readonly rejected: number
  readonly logOdds: number
  readonly ratio: number
  /** Sums of mean logits over the side's predicting positions, and their number. */
  readonly chosenLogits: Sum
  readonly rejectedLogits: Sum
}
/** Not yet a mean: a micro-batch may be spread over several runs. */
export type Sum = { readonly sum: number; readonly count: number }

/** One for each pair, in order. Log-probabilities are in nats, means over the answer's tokens. */
export function outcomes({ sides }: Prepared, outputs: Outputs): PairOutcome[] {
  const logits = outputs.meanLogits!.data
  const over = (ranges: readonly Range[]): Sum => {
    let [sum, count] = [0, 0]
    for (const [from, to] of ranges) {
      for (let i = from; i < to; i++) sum += logits[i]!
      count += to - from
    }
    return { sum, count }
  }
  return sides.map((side, b) => ({
    chosen: outputs.chosen!.data[b]!,
    rejected: outputs.rejected!.data[b]!,
    logOdds: outputs.logOdds!.data[b]!,
    ratio: outputs.ratio!.data[b]!,
    chosenLogits: over(side.chosen),
    rejectedLogits: over(side.rejected),
  }))
}
