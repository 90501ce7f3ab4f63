/** Is a paired difference of graded scores more than chance: the exact test on the signs of the differences. */
import MersenneTwister from 'mersenne-twister'

/** Up to so many pairs that differ all 2^n sign patterns are counted. */
const mostExact = 32

/** At most so many drawn signs for one answer, about half a second: large samples get fewer draws. */
const mostSigns = 3e7

export type Permutation = {
  /** Two-sided. */
  readonly pValue: number
  /** Whether every sign pattern was counted; otherwise `resamples` were drawn. */
  readonly exact: boolean
  /** Sign patterns that the observed one was held against. */
  readonly resamples: number
}

/**
 * The paired permutation test: had candidate and baseline been interchangeable, every difference could as well have had the other
 * sign. The p-value is the share of sign patterns whose sum is at least as far from 0 as the observed sum. Pairs without a
 * difference change nothing. Exact up to 32 pairs that differ; above, the patterns are drawn, and the observed one counts as one
 * of them, (hits + 1) / (resamples + 1), so that a p-value is never 0 (Phipson and Smyth 2010). For differences that are all
 * of one size this is McNemar's test; `mcnemar` is exact for any number of them.
 */
export function signFlip(
  differences: readonly number[],
  { resamples: wanted = 9999, seed = 0 }: { resamples?: number; seed?: number } = {},
): Permutation {
  const sizes = Float64Array.from(differences.filter((d) => d !== 0).map(Math.abs))
  const sum = differences.reduce((total, d) => total + d, 0)
  // Sums of the same numbers in another order differ in their last bits; they are ties.
  const least = Math.abs(sum) - 1e-12 * sizes.reduce((total, size) => total + size, 0)
  if (sizes.length <= mostExact) {
    const resamples = 2 ** sizes.length
    return {
      pValue: least <= 0 ? 1 : (2 * above(sizes, least)) / resamples,
      exact: true,
      resamples,
    }
  }
  if (!Number.isInteger(wanted) || wanted < 1)
    throw new RangeError(`resamples: expected an integer from 1, got ${wanted}`)
  const resamples = Math.min(wanted, Math.max(1, Math.floor(mostSigns / sizes.length)))
  const twister = new MersenneTwister([seed])
  let hits = 0
  for (let draw = 0; draw < resamples; draw += 1) {
    let [total, bits] = [0, 0]
    for (let i = 0; i < sizes.length; i += 1) {
      if (i % 32 === 0) bits = twister.random_int()
      total += (bits >>> (i % 32)) & 1 ? sizes[i]! : -sizes[i]!
    }
    if (Math.abs(total) >= least) hits += 1
  }
  return { pValue: (hits + 1) / (resamples + 1), exact: false, resamples }
}

/**
 * How many sign patterns have a sum of at least `least`: the sums of all patterns of either half, sorted, are walked against each
 * other, so 32 pairs take 2 · 2^16 sums and not 2^32.
 */
function above(sizes: Float64Array, least: number): number {
  const middle = sizes.length >> 1
  const left = sums(sizes.subarray(0, middle))
  const right = sums(sizes.subarray(middle))
  let [count, from] = [0, right.length]
  for (const sum of left) {
    while (from > 0 && sum + right[from - 1]! >= least) from -= 1
    count += right.length - from
  }
  return count
}

/** The sums of all sign patterns, in ascending order. */
function sums(sizes: Float64Array): Float64Array {
  let found = Float64Array.of(0)
  for (const size of sizes) {
    const next = new Float64Array(2 * found.length)
    for (const [i, sum] of found.entries()) {
      next[2 * i] = sum - size
      next[2 * i + 1] = sum + size
    }
    found = next
  }
  return found.sort()
}
