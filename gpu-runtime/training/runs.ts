/** What the engine is asked to compute: the pairs of some micro-batches, gathered by token budget and laid out. */
import { nllOf, type Recipe } from '#schema/spec.ts'
import { streamByBudget } from '../data/batches.ts'
import type { Pair } from '../data/pair.ts'
import type { Coins } from '../lora/dropout.ts'
import type { DecoderConfig } from '../models/config.ts'
import type { Outputs } from '../onnx/engine.ts'
import { Mean, microBatchMetrics, type Values } from './metrics.ts'
import {
  denominators,
  outcomes,
  prepare,
  streamTokens,
  type Denominators,
  type PairOutcome,
  type Prepared,
} from './step.ts'

/** One call of the engine. */
export type Run = {
  readonly prepared: Prepared
  /** Of each pair, within what is measured together. */
  readonly microBatches: readonly number[]
}

export type RunMaker = {
  readonly config: DecoderConfig
  readonly recipe: Recipe
  readonly tokenBudget: number
  readonly headRow: Float32Array
  /** Where the graph has dropout. */
  readonly coins?: Coins | null
  /** Rejects with FormatError naming the row. */
  get(row: number): Promise<Pair>
}

type Weighted = {
  readonly pair: Pair
  readonly denominators: Denominators
  readonly microBatch: number
}

/** Micro-batches of dataset rows, which are averaged over, as pairs with their denominators. */
async function* load(
  { recipe, get }: RunMaker,
  microBatches: readonly (readonly number[])[],
): AsyncGenerator<Weighted> {
  for (const [microBatch, rows] of microBatches.entries()) {
    const pairs: Pair[] = []
    for (const row of rows) pairs.push(await get(row))
    const each = denominators(pairs, recipe, microBatches.length)
    for (const [i, pair] of pairs.entries()) yield { pair, denominators: each[i]!, microBatch }
  }
}

/** The runs of micro-batches that are averaged over: of one optimizer step, or of all held-out rows. */
export async function* runsOf(
  maker: RunMaker,
  microBatches: readonly (readonly number[])[],
): AsyncGenerator<Run> {
  const { config, recipe, tokenBudget, headRow, coins } = maker
  const weighted = load(maker, microBatches)
  for await (const batch of streamByBudget(weighted, (w) => streamTokens(w.pair), tokenBudget)) {
    const pairs = batch.map((w) => w.pair)
    const each = batch.map((w) => w.denominators)
    yield {
      prepared: prepare(config, pairs, each, nllOf(recipe), headRow, coins),
      microBatches: batch.map((w) => w.microBatch),
    }
  }
}

/** The answers of runs that are measured together: the loss is summed, everything else stays by micro-batch. */
export class Tally {
  tokens = 0
  #loss = 0
  #nll = 0
  readonly #outcomes = new Map<number, PairOutcome[]>()

  add({ prepared, microBatches }: Run, outputs: Outputs): void {
    this.#loss += outputs.loss!.data[0]!
    this.#nll += outputs.nll!.data[0]!
    this.tokens += prepared.tokens
    outcomes(prepared, outputs).forEach((outcome, i) => {
      const at = microBatches[i]!
      this.#outcomes.set(at, [...(this.#outcomes.get(at) ?? []), outcome])
    })
  }

  /** Losses and the means over micro-batches of their metrics, under TRL's names. */
  values(recipe: Pick<Recipe, 'beta'>): Values {
    const mean = new Mean()
    for (const pairs of this.#outcomes.values()) mean.add(microBatchMetrics(pairs, recipe))
    return { loss: this.#loss, nll_loss: this.#nll, ...mean.take() }
  }
}
