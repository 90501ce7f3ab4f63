/** The metrics of training under TRL's names: sums per micro-batch, means over micro-batches. */
import type { Recipe } from '#schema/spec.ts'
import type { PairOutcome } from './step.ts'

export type Values = Record<string, number>

/** Means over the pairs of one micro-batch, as TRL's get_batch_loss_metrics; logits over all predicting positions together. */
export function microBatchMetrics(
  pairs: readonly PairOutcome[],
  { beta }: Pick<Recipe, 'beta'>,
): Values {
  const mean = (f: (p: PairOutcome) => number) => pairs.reduce((s, p) => s + f(p), 0) / pairs.length
  const logits = (side: 'chosenLogits' | 'rejectedLogits') =>
    pairs.reduce((s, p) => s + p[side].sum, 0) / pairs.reduce((n, p) => n + p[side].count, 0)
  const [chosen, rejected] = [mean((p) => p.chosen), mean((p) => p.rejected)]
  return {
    'rewards/chosen': beta * chosen,
    'rewards/rejected': beta * rejected,
    'rewards/accuracies': mean((p) => Number(p.chosen > p.rejected)),
    'rewards/margins': beta * (chosen - rejected),
    'logps/chosen': chosen,
    'logps/rejected': rejected,
    'logits/chosen': logits('chosenLogits'),
    'logits/rejected': logits('rejectedLogits'),
    log_odds_ratio: mean((p) => p.ratio),
    log_odds_chosen: mean((p) => p.logOdds),
  }
}

export type Window = {
  readonly sums: Readonly<Values>
  readonly counts: Readonly<Record<string, number>>
}

/** Means of values by name; a name may be missing now and then. */
export class Mean {
  #sums: Values
  #counts: Record<string, number>

  constructor({ sums, counts }: Window = { sums: {}, counts: {} }) {
    this.#sums = { ...sums }
    this.#counts = { ...counts }
  }

  add(values: Values): void {
    for (const [name, v] of Object.entries(values)) {
      this.#sums[name] = (this.#sums[name] ?? 0) + v
      this.#counts[name] = (this.#counts[name] ?? 0) + 1
    }
  }

  /** What was added since the last `take`, for a checkpoint in the middle of a window. */
  get window(): Window {
    return { sums: { ...this.#sums }, counts: { ...this.#counts } }
  }

  /** The means so far; starts anew. */
  take(): Values {
    const means = Object.fromEntries(
      Object.entries(this.#sums).map(([name, s]) => [name, s / this.#counts[name]!]),
    )
    this.#sums = {}
    this.#counts = {}
    return means
  }
}

/** The first value that is not a finite number, as a sentence; null when all are. */
export function notFinite(values: Values): string | null {
  const bad = Object.entries(values).find(([, v]) => !Number.isFinite(v))
  return bad ? `${bad[0]} is ${bad[1]}` : null
}
