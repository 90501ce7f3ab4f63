/** When an evaluation may stop before its last document: because nothing can change, or because enough is known. */
import { zOf, type Interval } from './confidence.ts'
import { intervalOf } from './difference.ts'
import { boundOf, decide, levelOf, type Claim, type Verdict } from './verdict.ts'

export type SequentialRule = Claim & {
  /**
   * What the claim is about. POPULATION: all documents that could have been asked, as in a gate. The last verdict is then that of a
   * gate at `shares(rule).last`, and may be UNDECIDED. BENCHMARK: the mean over exactly these documents, of which nothing is left
   * to doubt when all are scored.
   */
  readonly target: 'POPULATION' | 'BENCHMARK'
  /** Whether every score will be 0 or 1; otherwise they lie in [0, 1]. */
  readonly binary: boolean
}

/**
 * How alpha is spent, so that it holds for looks and last verdict together. A BENCHMARK's last verdict cannot err, so the looks have
 * all of it; with a POPULATION four fifths are kept for the end, when the samples say most.
 */
export const shares = ({
  alpha,
  target,
}: Pick<SequentialRule, 'alpha' | 'target'>): { readonly looks: number; readonly last: number } =>
  target === 'BENCHMARK' ? { looks: alpha, last: 0 } : { looks: 0.2 * alpha, last: 0.8 * alpha }

/** `low` and `high` bound the mean difference at every look at once, either end with probability 1 - `shares(rule).looks`. */
export type SequentialVerdict = Interval & {
  readonly verdict: Verdict | 'CONTINUE'
  /**
   * CERTAIN: no scores of the remaining documents would give another verdict. INTERVAL: the interval excludes the bound. Null for
   * CONTINUE.
   */
  readonly because: 'CERTAIN' | 'INTERVAL' | null
  /** Documents scored on both sides, and those that need not be. */
  readonly used: number
  readonly saved: number
}

/**
 * Looks at the differences (candidate minus baseline, in [-1, 1]) of the documents scored so far, of `total`. May be asked after
 * every document or every few; alpha holds over all looks together, so stopping at the first verdict is no cheating. The
 * documents must come in random order: a benchmark sorted by subject says nothing of its rest.
 * A verdict by INTERVAL and a gate over the same samples rest on different intervals, and only this one allows for the looks.
 * RangeError for a difference outside [-1, 1] (or not -1, 0, 1 where binary) and for more of them than `total`.
 */
export function sequentialVerdict(
  differencesSoFar: readonly number[],
  total: number,
  rule: SequentialRule,
): SequentialVerdict {
  const used = differencesSoFar.length
  if (!Number.isInteger(total) || total < 1 || used > total)
    throw new RangeError(`sequential: expected at most ${total} differences, got ${used}`)
  const odd = differencesSoFar.findIndex(
    (d) => !(d >= -1 && d <= 1) || (rule.binary && !Number.isInteger(d)),
  )
  if (odd !== -1)
    throw new RangeError(
      `sequential: expected ${rule.binary ? '-1, 0 or 1' : 'a difference in [-1, 1]'}, got ${differencesSoFar[odd]} at ${odd}`,
    )
  if (!(rule.alpha > 0 && rule.alpha < 0.5 && rule.margin >= 0))
    throw new RangeError(
      `rule: expected 0 < alpha < 0.5 and a margin from 0, got ${rule.alpha} and ${rule.margin}`,
    )
  const saved = total - used
  const interval = confidenceSequence(differencesSoFar, total, rule)
  const certain = certainVerdict(differencesSoFar, total, rule)
  if (certain !== null) return { verdict: certain, because: 'CERTAIN', ...interval, used, saved }
  const verdict = decide(interval, rule)
  return verdict === 'UNDECIDED'
    ? { verdict: 'CONTINUE', because: null, ...interval, used, saved }
    : { verdict, because: 'INTERVAL', ...interval, used, saved }
}

/**
 * The running intersection of a betting confidence sequence (Waudby-Smith and Ramdas, JRSS-B 86, 2024, sections 4 and 5): against
 * "the mean is at most m" one bets a share λ of one's capital on each next value; if that is true, the capital is a
 * supermartingale and reaches 1 / α with probability at most α at any time (Ville). The lower end is the largest m against which
 * it was reached. The bets λ = sqrt(2 ln(1/α) / (N σ²)), with σ² estimated from the values before, are those of the paper's interval
 * for N values, at most ½ / m; without replacement (BENCHMARK) a value is held against what the mean of the remaining ones
 * would be, (N m - sum) / (N - t).
 */
function confidenceSequence(
  differences: readonly number[],
  total: number,
  { alpha: whole, target }: SequentialRule,
): Interval {
  const alpha = shares({ alpha: whole, target }).looks
  const low = lowerEnd(
    differences.map((d) => (1 + d) / 2),
    total,
    alpha,
    target,
  )
  const high = lowerEnd(
    differences.map((d) => (1 - d) / 2),
    total,
    alpha,
    target,
  )
  return { low: 2 * low - 1, high: 1 - 2 * high }
}

/** The lower end for the mean of values in [0, 1]. */
function lowerEnd(
  values: readonly number[],
  total: number,
  alpha: number,
  target: SequentialRule['target'],
): number {
  const bets = new Float64Array(values.length)
  let [sum, squares] = [0.5, 0.25]
  for (const [i, value] of values.entries()) {
    bets[i] = Math.sqrt((2 * Math.log(1 / alpha)) / (total * (squares / (i + 1))))
    sum += value
    squares += (value - sum / (i + 2)) ** 2
  }
  const least = Math.log(1 / alpha)
  const refuted = (mean: number): boolean => {
    let [capital, seen] = [0, 0]
    for (const [i, value] of values.entries()) {
      const expected = target === 'BENCHMARK' ? (total * mean - seen) / (total - i) : mean
      if (expected < 0) return true // the values so far alone make a larger mean
      if (expected > 1) return false // and this one they cannot reach
      capital += Math.log1p(Math.min(bets[i]!, 0.5 / expected) * (value - expected))
      if (capital >= least) return true
      seen += value
    }
    return target === 'BENCHMARK' && seen > total * mean
  }
  if (!refuted(0)) return 0
  let [low, high] = [0, 1]
  for (let step = 0; step < 40; step += 1) {
    const middle = (low + high) / 2
    if (refuted(middle)) low = middle
    else high = middle
  }
  return low
}

/** The verdict of all `total` documents, where the remaining ones cannot change it; else null. */
function certainVerdict(
  differences: readonly number[],
  total: number,
  rule: SequentialRule,
): Verdict | null {
  if (rule.target === 'BENCHMARK') return certainOfBenchmark(differences, total, rule)
  return rule.binary
    ? certainOfBinary(differences, total, rule)
    : certainOfGraded(differences, total, rule)
}

/** Every remaining document can move the sum by 1 at most. */
function certainOfBenchmark(
  differences: readonly number[],
  total: number,
  rule: SequentialRule,
): Verdict | null {
  const sum = differences.reduce((all, d) => all + d, 0)
  const remaining = total - differences.length
  const border = total * boundOf(rule)
  const ulps = 1e-12 * total // a sum of decimal fractions is not exact
  if (sum - remaining > border + ulps) return 'PASS'
  return sum + remaining <= border + ulps ? 'FAIL' : null
}

/** Tango's interval moves up with every pair gained and down with every pair lost, so the extremes speak for all. */
function certainOfBinary(
  differences: readonly number[],
  total: number,
  rule: SequentialRule,
): Verdict | null {
  const remaining = total - differences.length
  const gained = differences.filter((d) => d > 0).length
  const lost = differences.filter((d) => d < 0).length
  const paired = { n: total, leftOut: 0, baseline: 0, candidate: 0, deviation: null, binary: true }
  const z = zOf(levelOf({ alpha: shares(rule).last }))
  const best = decide(intervalOf({ ...paired, gained: gained + remaining, lost }, z), rule)
  const worst = decide(intervalOf({ ...paired, gained, lost: lost + remaining }, z), rule)
  if (worst === 'PASS') return 'PASS'
  if (best === 'FAIL') return 'FAIL'
  return best !== 'PASS' && worst !== 'FAIL' ? 'UNDECIDED' : null
}

/**
 * The lower end, mean - z · sd / sqrt(N), is a concave function of the remaining differences, the upper end a convex one, and their
 * order does not matter. So the lower end is least, and the upper end greatest, where each is -1 or 1, and the others where
 * all are equal. Only where all N are equal the interval is wider than that; this is looked at by itself.
 */
function certainOfGraded(
  differences: readonly number[],
  total: number,
  rule: SequentialRule,
): Verdict | null {
  const remaining = total - differences.length
  const z = zOf(levelOf({ alpha: shares(rule).last }))
  const sum = differences.reduce((all, d) => all + d, 0)
  const squares = differences.reduce((all, d) => all + d * d, 0)
  /** The interval if `up` of the remaining differences are `x` and the others `y`. */
  const finished = (up: number, x: number, y: number): Interval => {
    const mean = (sum + up * x + (remaining - up) * y) / total
    const around = squares + up * x * x + (remaining - up) * y * y - total * mean * mean
    const deviation =
      total < 2 ? null : around < 1e-12 * total ? 0 : Math.sqrt(around / (total - 1))
    const counts = { n: total, leftOut: 0, gained: 0, lost: 0, binary: false }
    return intervalOf({ ...counts, baseline: 0, candidate: mean, deviation }, z)
  }
  const verdicts = new Set<Verdict>()
  for (let up = 0; up <= remaining; up += 1) {
    verdicts.add(decide(finished(up, 1, -1), rule))
    if (verdicts.has('PASS') && verdicts.has('FAIL')) return null
  }
  const [first = 0] = differences
  verdicts.add(decide(finished(0, 0, first), rule))
  const all = (x: number) => finished(remaining, x, x)
  verdicts.add(decide(all(peak((x) => all(x).low)), rule))
  verdicts.add(decide(all(peak((x) => -all(x).high)), rule))
  return verdicts.size === 1 ? [...verdicts][0]! : null
}

/** Where a concave function on [-1, 1] is largest, to 1e-9, by thirds. */
function peak(height: (x: number) => number): number {
  let [low, high] = [-1, 1]
  for (let step = 0; step < 55; step += 1) {
    const [left, right] = [low + (high - low) / 3, high - (high - low) / 3]
    if (height(left) < height(right)) low = left
    else high = right
  }
  return (low + high) / 2
}
