/** Candidate minus baseline on shared samples: what a comparison and a rank are made of. */
import { level as standard, zOf, type Interval } from './confidence.ts'
import { mcnemar } from './mcnemar.ts'
import { cumulative } from './normal.ts'
import { tango } from './tango.ts'

/** What two evaluations have in common, counted over pairs: the same document under the same hash, scored on both sides. */
export type Paired = {
  readonly n: number
  /** Documents that are only on one side, whose hash differs, or that have no finite score on one side. */
  readonly leftOut: number
  readonly baseline: number
  readonly candidate: number
  /** Pairs in which the candidate, or the baseline, scored higher. */
  readonly gained: number
  readonly lost: number
  /** Sample standard deviation (n - 1) of the differences; null for a single pair. */
  readonly deviation: number | null
  /** Whether every score is 0 or 1. */
  readonly binary: boolean
  /** Whether every score lies in [0, 1], as all but log-likelihoods do; true where it is not said. */
  readonly bounded?: boolean
}

/** `low` and `high` bound `difference`; `baseline` and `candidate` are means over the n pairs; `pValue` is two-sided. */
export type Difference = Interval & {
  readonly n: number
  readonly leftOut: number
  readonly baseline: number
  readonly candidate: number
  readonly difference: number
  readonly level: number
  readonly pValue: number
  readonly gained: number
  readonly lost: number
}

/**
 * The paired difference with its interval and test. Null where nothing could be paired.
 * Right/wrong scores: Tango's score interval and McNemar's exact test. The two rest on different approximations, so an
 * interval that barely excludes 0 can come with p slightly above 0.05.
 * Other scores: the analytic interval d ± z · sd / sqrt(n), normal as in lm-evaluation-harness, and the sign test, which is
 * McNemar's sum over the pairs that differ. Of unbounded scores one pair says nothing: its interval is infinite.
 */
export function differ(paired: Paired, level: number = standard): Difference | null {
  const { n, leftOut, baseline, candidate, gained, lost } = paired
  if (n === 0) return null
  const difference = differenceOf(paired)
  const interval = intervalOf(paired, zOf(level))
  const pValue = mcnemar(gained, lost)
  return { n, leftOut, baseline, candidate, difference, ...interval, level, pValue, gained, lost }
}

/** Candidate minus baseline over n > 0 pairs. */
export const differenceOf = ({ binary, gained, lost, n, candidate, baseline }: Paired): number =>
  binary ? (gained - lost) / n : candidate - baseline

/** The interval of `differ` whose ends are z standard errors out: Tango's for right/wrong scores, else the analytic one. */
export function intervalOf(paired: Paired, z: number): Interval {
  const { n, gained, lost, binary, bounded = true } = paired
  if (binary) return tango(gained, lost, n, z)
  const difference = differenceOf(paired)
  if (bounded) return analytic(difference, paired.deviation, n, z)
  const half = paired.deviation === null ? Infinity : (z * paired.deviation) / Math.sqrt(n)
  return { low: difference - half, high: difference + half }
}

/**
 * Scores lie in [0, 1], so differences in [-1, 1]. Where all n differences are equal, or there is one, the standard error says
 * nothing; then by the rule of three's exact form at most 1 - (α/2)^(1/n) of all pairs differ otherwise, each as far as it can.
 */
function analytic(difference: number, deviation: number | null, n: number, z: number): Interval {
  if (!deviation) {
    const others = 1 - cumulative(-z) ** (1 / n)
    return {
      low: difference - others * (difference + 1),
      high: difference + others * (1 - difference),
    }
  }
  const half = (z * deviation) / Math.sqrt(n)
  return { low: Math.max(-1, difference - half), high: Math.min(1, difference + half) }
}
