/** One subject's scores on a suite: averages of its groups and of the whole. */
import type { Metric } from '#schema/metrics.ts'
import { membersOf, suites, type SuiteEntry, type SuiteMember } from '#schema/suites.ts'
import { tasks } from '#schema/tasks.ts'
import { aggregate, type Member } from './group.ts'
import { suiteMean } from './suite.ts'

/** A task's metric as it was measured; fractions of 1. */
export type TaskScore = Member & {
  readonly task: string
  readonly version: number
  readonly metric: Metric
}

/** A mean, null as long as tasks are missing. */
export type Average = {
  readonly score: Member | null
  /** As it is printed: in percent, rounded to two decimals. */
  readonly percent: number | null
  /** Names of the tasks without a score. */
  readonly missing: readonly string[]
}

export type GroupResult = Average & {
  readonly name: string
  readonly title: string
  /** By task, in the suite's order, every metric that was measured. */
  readonly tasks: readonly TaskScore[]
}

export type SuiteResult = Average & {
  readonly suite: string
  readonly title: string
  readonly groups: readonly GroupResult[]
}

/**
 * A suite's averages over the headline metrics of its tasks (for the Nous suite: acc_norm where a task has it, else acc;
 * mc2; multiple_choice_grade). `scores` by task, with every metric. Standard errors are pooled where tasks weigh by size;
 * where they do not, rows that stand for two tasks are one of twice the weight.
 */
export function suiteResult(
  name: string,
  scores: ReadonlyMap<string, readonly TaskScore[]>,
): SuiteResult {
  const suite = suites.get(name)!
  const groups = suite.groups.map(({ members, ...group }): GroupResult => ({
    ...group,
    ...averageOf(members, scores, suite),
    tasks: members.flatMap(({ task }) => scores.get(task) ?? []),
  }))
  const whole =
    suite.meanOf === 'TASKS'
      ? averageOf(membersOf(suite), scores, suite)
      : averageOfGroups(groups, suite)
  return { suite: name, title: suite.title, ...whole, groups }
}

function averageOf(
  members: readonly SuiteMember[],
  scores: ReadonlyMap<string, readonly TaskScore[]>,
  { weighting }: SuiteEntry,
): Average {
  const found = members.map(({ task }) => ({
    task,
    score: scores.get(task)?.find(({ metric }) => metric === tasks.get(task)!.headline),
  }))
  const missing = found.filter(({ score }) => score === undefined).map(({ task }) => task)
  if (missing.length > 0) return { score: null, percent: null, missing }
  const score = aggregate(
    found.map(({ score: own }) => own!),
    weighting,
  )!
  if (weighting === 'BY_SIZE') return average(score)
  const once = members.flatMap(({ task, rowsOf }, i) => {
    if (rowsOf !== undefined) return []
    const weight = 1 + members.filter((other) => other.rowsOf === task).length
    return [{ ...found[i]!.score!, weight }]
  })
  return average({ ...score, standardError: suiteMean(once)!.standardError })
}

function averageOfGroups(groups: readonly GroupResult[], { roundsGroups }: SuiteEntry): Average {
  const missing = groups.flatMap((group) => group.missing)
  if (missing.length > 0) return { score: null, percent: null, missing }
  const score = aggregate(
    groups.map((group) => group.score!),
    'EQUALLY',
  )!
  if (!roundsGroups) return average(score)
  // In percent, as they are printed: whether a last digit is rounded up hangs on it.
  const mean = groups.reduce((sum, { percent }) => sum + percent!, 0) / groups.length
  return { score: { ...score, mean: mean / 100 }, percent: roundPercent(mean), missing: [] }
}

const average = (score: Member): Average => ({
  score,
  percent: roundPercent(score.mean * 100),
  missing: [],
})

/** Python's round(x, 2): to the nearest, of two that are equally near to the even one. For x of at least 0. */
export function roundPercent(x: number): number {
  // Of numbers with a third decimal of exactly 5, binary ones end in .125, .375, .625 or .875.
  const eighths = x * 8
  const down = Number.isInteger(eighths) && eighths % 4 === 1
  return down ? Math.floor(x * 100) / 100 : Number(x.toFixed(2))
}
