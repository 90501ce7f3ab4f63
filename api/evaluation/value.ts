/** What a metric of an evaluation comes to: the aggregate of its samples' scores, with its standard error. */
import { aggregates, metrics, type Metric } from '#schema/metrics.ts'
import { bootstrapStandardError } from './bootstrap.ts'
import { summarize } from './mean.ts'
import { perplexity } from './perplexity.ts'

/** One sample: an accuracy from 0 to its weight, or a log-likelihood in nats over so many units. */
export type Scored = { readonly score: number; readonly weight: number }

/** On the metric's own scale. */
export type Valued = {
  readonly n: number
  readonly value: number
  /** Null for a single sample, and where lm-evaluation-harness says "N/A". */
  readonly standardError: number | null
}

/** The metric of this name; what the catalogue does not have counts as an accuracy. */
export const metricOf = (name: string) => metrics[name as Metric] ?? metrics.acc

/** The quotient Σ score / Σ weight on the metric's scale: exp(-log-likelihood per word) for a word perplexity. */
export const valueOf = (metric: string, quotient: number): number =>
  aggregates[metricOf(metric).aggregate](quotient)

/** Null for no samples, and for a perplexity beyond the numbers. */
export function valueOfSamples(metric: string, samples: readonly Scored[]): Valued | null {
  const n = samples.length
  const scores = samples.map(({ score }) => score)
  const size = samples.reduce((sum, { weight }) => sum + weight, 0)
  const value = valueOf(metric, scores.reduce((sum, score) => sum + score, 0) / size)
  if (n === 0 || !Number.isFinite(value)) return null
  return { n, value, standardError: standardErrorOf(metric, scores) }
}

function standardErrorOf(metric: string, scores: readonly number[]): number | null {
  const kind = metricOf(metric).standardError
  if (kind === 'MEAN') return summarize(scores)!.standardError
  return kind === 'NONE'
    ? null
    : (bootstrapStandardError(perplexity, scores)?.standardError ?? null)
}
