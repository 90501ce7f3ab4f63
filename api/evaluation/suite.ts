/** Several tasks as one number, each task counting once whatever its size: of one model, and of two on the same samples. */
import { level as standard, zOf, type Interval } from './confidence.ts'
import { differenceOf, intervalOf, type Paired } from './difference.ts'
import type { Member } from './group.ts'
import { spread } from './power.ts'

/**
 * What a task counts beside the others; 1 where it is not said. Tasks are taken for independent: a benchmark that a suite counts
 * twice is one member of weight 2, and a mean of suite means is one suite in which a task weighs 1 / (tasks of its suite).
 */
type Weighed<T> = T & { readonly weight?: number }

const sharesOf = (members: readonly { readonly weight?: number }[]): number[] => {
  const total = members.reduce((sum, { weight = 1 }) => sum + weight, 0)
  return members.map(({ weight = 1 }) => weight / total)
}

/**
 * The mean over tasks of one model with its standard error sqrt(Σ share² se²), for equal weights sqrt(Σ se²) / k, and the normal
 * interval. Without a standard error where a member has none; null for no members. `bootstrapInterval` over the tasks' scores as
 * strata gives the interval without the normal distribution.
 */
export function suiteMean(
  members: readonly Weighed<Member>[],
  level: number = standard,
): (Member & { readonly interval: Interval | null }) | null {
  if (members.length === 0) return null
  const shares = sharesOf(members)
  const n = members.reduce((sum, member) => sum + member.n, 0)
  const mean = members.reduce((sum, member, i) => sum + shares[i]! * member.mean, 0)
  const standardError = combine(
    members.map((member) => member.standardError),
    shares,
  )
  const half = standardError === null ? null : zOf(level) * standardError
  const interval = half === null ? null : { low: mean - half, high: mean + half }
  return { n, mean, standardError, interval }
}

/** A task of two compared models. */
export type PairedTask = Weighed<{ readonly paired: Paired }>

/** `low` and `high` bound `difference`; baseline and candidate are means over tasks; `n` counts all pairs. */
export type SuiteDifference = Interval & {
  readonly n: number
  readonly baseline: number
  readonly candidate: number
  readonly difference: number
  /** sqrt(Σ share² sd² / n); null where a task has a single pair. */
  readonly standardError: number | null
  readonly level: number
}

/**
 * The difference of suite means. Null for no tasks, and where a task has no pair: without it, it would be another suite.
 * Over differences of scores, `bootstrapInterval` with a stratum a task gives the stratified paired bootstrap.
 */
export function differSuite(
  tasks: readonly PairedTask[],
  level: number = standard,
): SuiteDifference | null {
  if (tasks.length === 0 || tasks.some(({ paired }) => paired.n === 0)) return null
  const shares = sharesOf(tasks)
  const over = (value: (paired: Paired) => number) =>
    tasks.reduce((sum, { paired }, i) => sum + shares[i]! * value(paired), 0)
  return {
    n: tasks.reduce((sum, { paired }) => sum + paired.n, 0),
    baseline: over((paired) => paired.baseline),
    candidate: over((paired) => paired.candidate),
    difference: over(differenceOf),
    standardError: combine(tasks.map(standardErrorOf), shares),
    ...suiteIntervalOf(tasks, zOf(level)),
    level,
  }
}

/**
 * The interval whose ends are z standard errors out, from those of the tasks (MOVER; Zou and Donner 2008): the distance of an end is
 * sqrt(Σ share² (distance of the task's end)²). Of graded scores that is z · sqrt(Σ share² se²), the analytic one; of right/wrong
 * scores it keeps what Tango's intervals know, and does not collapse where no task changed.
 */
export function suiteIntervalOf(tasks: readonly PairedTask[], z: number): Interval {
  const shares = sharesOf(tasks)
  let [difference, below, above] = [0, 0, 0]
  for (const [i, { paired }] of tasks.entries()) {
    const share = shares[i]!
    const own = differenceOf(paired)
    const { low, high } = intervalOf(paired, z)
    difference += share * own
    below += (share * (own - low)) ** 2
    above += (share * (high - own)) ** 2
  }
  return { low: difference - Math.sqrt(below), high: difference + Math.sqrt(above) }
}

/** For planning: the standard error of the suite's difference, by each task's `spread`. */
export const suiteSpread = (tasks: readonly PairedTask[]): number | null =>
  combine(
    tasks.map(({ paired }) => {
      const deviation = spread(paired)
      return deviation === null ? null : deviation / Math.sqrt(paired.n)
    }),
    sharesOf(tasks),
  )

const standardErrorOf = ({ paired: { deviation, n } }: PairedTask): number | null =>
  deviation === null ? null : deviation / Math.sqrt(n)

/** The standard error of a weighted sum of independent estimates; null where one has none. */
function combine(
  standardErrors: readonly (number | null)[],
  shares: readonly number[],
): number | null {
  let sum = 0
  for (const [i, standardError] of standardErrors.entries()) {
    if (standardError === null) return null
    sum += (shares[i]! * standardError) ** 2
  }
  return Math.sqrt(sum)
}
