/** Scores of two sides on the same documents, as arrays: what cannot be counted where it is stored. */
import { bootstrapInterval, type Resampling } from './bootstrap.ts'
import { level as standard, type Interval } from './confidence.ts'
import { differ, type Difference, type Paired } from './difference.ts'
import { signFlip } from './permutation.ts'

/**
 * One entry a document on either side, in one order. A score that is not finite, or missing, leaves its pair out. With `weights`
 * the scores are log-likelihoods of whole documents and the weights their sizes in bytes, words or tokens (of one tokenizer),
 * equal for both sides: what is compared is the log-likelihood per unit. For perplexities that is the pair that has a mean: its
 * difference d multiplies the perplexity by exp(-d).
 */
export type PairedScores = {
  readonly baseline: readonly (number | null)[]
  readonly candidate: readonly (number | null)[]
  readonly weights?: readonly number[]
  /** Whether scores lie in [0, 1]; true where it is not said, and false for weighted ones. */
  readonly bounded?: boolean
}

type Usable = { readonly x: number; readonly y: number; readonly weight: number }

function usable({ baseline, candidate, weights }: PairedScores): Usable[] {
  const n = baseline.length
  if (candidate.length !== n || (weights !== undefined && weights.length !== n))
    throw new RangeError(
      `paired scores: expected as many on both sides, got ${n} and ${candidate.length}` +
        (weights === undefined ? '' : ` with ${weights.length} weights`),
    )
  return baseline.flatMap((x, i) => {
    const [y, weight] = [candidate[i]!, weights?.[i] ?? 1]
    if (!(weight > 0 && weight < Infinity))
      throw new RangeError(`paired scores: expected a positive weight, got ${weight} at ${i}`)
    return x !== null && Number.isFinite(x) && y !== null && Number.isFinite(y)
      ? [{ x, y, weight }]
      : []
  })
}

/**
 * Counts pairs as `countPairs` does in the database. With weights, the deviation is that of the ratio estimator's residuals, so
 * that deviation / sqrt(n) is its linearized standard error, sqrt(n / (n - 1) · Σ (d - D · weight)²) / Σ weight.
 */
export function pairedOf(scores: PairedScores): Paired {
  const pairs = usable(scores)
  const n = pairs.length
  const weighted = scores.weights !== undefined
  const size = pairs.reduce((sum, { weight }) => sum + weight, 0)
  const baseline = pairs.reduce((sum, { x }) => sum + x, 0) / size
  const candidate = pairs.reduce((sum, { y }) => sum + y, 0) / size
  const difference = pairs.reduce((sum, { x, y }) => sum + (y - x), 0) / size
  const squares = pairs.reduce(
    (sum, { x, y, weight }) => sum + (y - x - difference * weight) ** 2,
    0,
  )
  const right = (score: number) => score === 0 || score === 1
  return {
    n,
    leftOut: scores.baseline.length - n,
    baseline,
    candidate,
    gained: pairs.filter(({ x, y }) => y > x).length,
    lost: pairs.filter(({ x, y }) => y < x).length,
    deviation: n < 2 ? null : (Math.sqrt(squares / (n - 1)) * n) / size,
    binary: n > 0 && !weighted && pairs.every(({ x, y }) => right(x) && right(y)),
    bounded: scores.bounded ?? !weighted,
  }
}

/** `low` and `high` are `differ`'s; `test` says which one `pValue` is of. */
export type ScoreDifference = Difference & {
  readonly test: 'MCNEMAR' | 'SIGN_FLIP'
  /** By the paired bootstrap (BCa), beside the analytic one. */
  readonly bootstrap: Interval & { readonly resamples: number }
}

/**
 * The paired difference with both intervals, and the test that fits: McNemar's exact one for right/wrong scores, else the paired
 * permutation test (of the sum over documents, so with weights too). Null where nothing could be paired.
 */
export function compareScores(
  scores: PairedScores,
  resampling: Resampling = {},
): ScoreDifference | null {
  const pairs = usable(scores)
  const paired = pairedOf(scores)
  const difference = differ(paired, resampling.level ?? standard)
  if (difference === null) return null
  const values = pairs.map(({ x, y }) => y - x)
  const weights = scores.weights === undefined ? {} : { weights: pairs.map((pair) => pair.weight) }
  const bootstrap = bootstrapInterval([{ values, share: 1, ...weights }], resampling)
  if (paired.binary) return { ...difference, test: 'MCNEMAR', bootstrap }
  const { pValue } = signFlip(values, resampling)
  return { ...difference, pValue, test: 'SIGN_FLIP', bootstrap }
}
