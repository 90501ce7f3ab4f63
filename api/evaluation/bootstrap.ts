/** What a statistic would have been on other draws of the same documents: the bootstrap. */
import MersenneTwister from 'mersenne-twister'
import type { Interval } from './confidence.ts'
import { level as standard, zOf } from './confidence.ts'
import { cumulative, quantile } from './normal.ts'
import { pythonRandom } from './pythonRandom.ts'

/** At most so many draws of a document for one answer, about a second: large samples get fewer resamples, and are told. */
const mostDraws = 2e7

/** Below this many resamples an answer would be noise. */
const fewestResamples = 100

/** At most so many resamples of n documents as `mostDraws` pays for. RangeError where that is too few, or where less than 2 are wanted. */
function affordable(wanted: number, n: number): number {
  const resamples = Math.min(wanted, Math.floor(mostDraws / Math.max(1, n)))
  if (!Number.isInteger(wanted) || wanted < 2)
    throw new RangeError(`resamples: expected an integer from 2, got ${wanted}`)
  if (resamples < Math.min(wanted, fewestResamples))
    throw new RangeError(
      `bootstrap: expected at most ${mostDraws / fewestResamples} documents, got ${n}`,
    )
  return resamples
}

/**
 * The standard error of any statistic as lm-evaluation-harness bootstraps it (`bootstrap_stderr`, number for number): resamples in
 * chunks of 1,000, chunk i drawn by Python's `random.Random(i).choices`; the sample standard deviation of the replicates, without
 * correction for the bootstrap's bias. Whole chunks only, as there. The harness takes 100,000; `resamples` in the answer is how
 * many were taken. Null for fewer than two values, for which the harness says "N/A".
 * The statistic gets the same array each time, filled anew, and must not change or keep it.
 */
export function bootstrapStandardError<T>(
  statistic: (values: readonly T[]) => number,
  values: readonly T[],
  wanted = 100_000,
): { readonly standardError: number; readonly resamples: number } | null {
  const n = values.length
  if (n < 2) return null
  const possible = affordable(wanted, n)
  const chunk = Math.min(1000, possible)
  const replicates: number[] = []
  const drawn = Array<T>(n)
  for (let i = 0; i < Math.floor(possible / chunk); i += 1) {
    const random = pythonRandom(i)
    for (let draw = 0; draw < chunk; draw += 1) {
      for (let k = 0; k < n; k += 1) drawn[k] = values[Math.floor(random() * n)]!
      replicates.push(statistic(drawn))
    }
  }
  const mean = replicates.reduce((sum, value) => sum + value, 0) / replicates.length
  const squares = replicates.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const standardError = Math.sqrt(squares / (replicates.length - 1))
  return { standardError, resamples: replicates.length }
}

/**
 * Samples of one task, resampled among themselves. `share` is what its mean counts in the sum over strata; with `weights` the mean is
 * Σ values / Σ weights (a log-likelihood per token), else the plain one.
 */
export type Stratum = {
  readonly values: readonly number[]
  readonly weights?: readonly number[]
  readonly share: number
}

/** How a bootstrap is made repeatable and how much of it is wanted. */
export type Resampling = {
  readonly level?: number
  /** 9,999 where it is not said. */
  readonly resamples?: number
  /** 0 where it is not said. The same seed gives the same interval everywhere. */
  readonly seed?: number
}

/**
 * The interval of Σ share · mean(stratum) by the bootstrap, bias-corrected and accelerated (BCa; Efron 1987, with the acceleration
 * of several samples from Efron and Tibshirani 1993, 14.3 as SciPy has it). Over differences of pairs it is the paired bootstrap,
 * with one stratum a task the stratified one. `resamples` in the answer is how many were taken. Where every replicate is equal
 * (no pair differs), BCa is not defined and the interval is that one point, which says nothing about documents that were not drawn.
 */
export function bootstrapInterval(
  strata: readonly Stratum[],
  { level = standard, resamples: wanted = 9999, seed = 0 }: Resampling = {},
): Interval & { readonly resamples: number } {
  const n = strata.reduce((sum, { values }) => sum + values.length, 0)
  if (strata.length === 0 || strata.some(({ values }) => values.length === 0))
    throw new RangeError('bootstrap: expected samples in every stratum')
  const resamples = affordable(wanted, n)
  const twister = new MersenneTwister([seed])
  const replicates = new Float64Array(resamples)
  for (let i = 0; i < resamples; i += 1) {
    for (const { values, weights, share } of strata) {
      let [sum, size] = [0, 0]
      for (let k = values.length; k > 0; k -= 1) {
        const drawn = Math.floor((twister.random_int() / 2 ** 32) * values.length)
        sum += values[drawn]!
        size += weights === undefined ? 1 : weights[drawn]!
      }
      replicates[i]! += (share * sum) / size
    }
  }
  replicates.sort()

  const observed = strata.reduce((sum, stratum) => sum + stratum.share * meanOf(stratum), 0)
  const ulps = 1e-12 * Math.max(Math.abs(replicates[0]!), Math.abs(replicates.at(-1)!))
  if (replicates.at(-1)! - replicates[0]! <= ulps)
    return { low: observed, high: observed, resamples }
  let [below, equal] = [0, 0]
  for (const value of replicates) {
    if (Math.abs(value - observed) <= ulps) equal += 1
    else if (value < observed) below += 1
  }
  const bias = quantile((below + equal / 2) / resamples)
  const acceleration = accelerationOf(strata)
  const end = (z: number): number => {
    const moved = bias + (bias + z) / (1 - acceleration * (bias + z))
    return percentile(replicates, Number.isFinite(moved) ? cumulative(moved) : cumulative(z))
  }
  const z = zOf(level)
  return { low: end(-z), high: end(z), resamples }
}

function meanOf({ values, weights }: Stratum): number {
  const sum = values.reduce((total, value) => total + value, 0)
  return sum / (weights?.reduce((total, weight) => total + weight, 0) ?? values.length)
}

/** One sixth of the skewness of the statistic, from what leaving out each sample would change. */
function accelerationOf(strata: readonly Stratum[]): number {
  let [cubes, squares] = [0, 0]
  for (const stratum of strata) {
    const { values, weights, share } = stratum
    const n = values.length
    const mean = meanOf(stratum)
    const size = weights === undefined ? 1 : weights.reduce((sum, weight) => sum + weight, 0) / n
    for (const [i, value] of values.entries()) {
      const influence = (share * (value - mean * (weights?.[i] ?? 1))) / size
      cubes += influence ** 3 / n ** 3
      squares += influence ** 2 / n ** 2
    }
  }
  return squares === 0 ? 0 : cubes / (6 * squares ** 1.5)
}

/** As numpy's default: linear between the two nearest of the sorted values. */
function percentile(sorted: Float64Array, p: number): number {
  const at = p * (sorted.length - 1)
  const low = sorted[Math.floor(at)]!
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low)
}
