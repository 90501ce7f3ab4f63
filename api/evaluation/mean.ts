/** Mean and standard error of one metric over an evaluation's samples. */
import { z, type Interval } from './confidence.ts'

/** On the metric's own scale. */
export type Summary = {
  readonly n: number
  readonly mean: number
  /** Null for a single sample. */
  readonly standardError: number | null
}

/**
 * As lm-evaluation-harness computes them (`mean` and `mean_stderr`): the arithmetic mean, and the sample standard deviation
 * (divided by n - 1) over sqrt(n); for 0/1 values that is sqrt(p (1 - p) / (n - 1)). Null for no values.
 */
export function summarize(values: readonly number[]): Summary | null {
  const n = values.length
  if (n === 0) return null
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  if (n === 1) return { n, mean, standardError: null }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { n, mean, standardError: Math.sqrt(squares / (n - 1) / n) }
}

/**
 * Wilson's score interval (1927) of a proportion of n: unlike mean ± z·SE it stays within [0, 1] and keeps a width where
 * everything was right or everything was wrong.
 */
export function wilson(mean: number, n: number): Interval {
  const shrink = 1 + (z * z) / n
  const centre = (mean + (z * z) / (2 * n)) / shrink
  const half = (z / shrink) * Math.sqrt((mean * (1 - mean)) / n + (z * z) / (4 * n * n))
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}
