/** Stored comparisons under rules, and as suites: their pairs are counted where the samples are. */
import { eq } from 'drizzle-orm'
import type { EvaluationSettings, GateClause } from '#schema/spec.ts'
import { membersOf, suites, type SuiteEntry } from '#schema/suites.ts'
import { comparisons, comparisonTasks, evaluations } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { entryOf } from '#schema/customTask.ts'
import type { Db } from '../database.ts'
import { InvalidInput, NotFound, type Issue } from '../problem.ts'
import type { Paired } from './difference.ts'
import { gate, type ComparedTask, type Gate } from './gate.ts'
import { countPairs } from './pairs.ts'
import { differSuite, type SuiteDifference } from './suite.ts'
import { asksAs } from './suiteScores.ts'
import { metricOf } from './value.ts'

/** Every task of a comparison, with the pairs of each metric. */
export async function comparedTasks(db: Db, comparisonId: string): Promise<ComparedTask[]> {
  const rows = await db
    .select()
    .from(comparisonTasks)
    .where(eq(comparisonTasks.comparisonId, comparisonId))
    .orderBy(comparisonTasks.task, comparisonTasks.metric)
  const counted = new Map<string, Record<string, Paired>>()
  for (const [metric, of] of Map.groupBy(rows, (row) => row.metric)) {
    const pairs = of.map((row) => ({
      baseline: row.baselineEvaluationId,
      candidate: row.candidateEvaluationId,
    }))
    for (const [i, paired] of (await countPairs(db, metric, pairs)).entries()) {
      const { task } = of[i]!
      counted.set(task, { ...counted.get(task), [metric]: paired })
    }
  }
  return [...counted].map(([task, found]) => ({
    task,
    // A task that a run declared has its headline first.
    headline: tasks.get(task)?.headline ?? Object.keys(found)[0]!,
    metrics: found,
  }))
}

/** NotFound for an unknown comparison, InvalidInput for rules about what it does not have. Nothing is stored. */
export async function judgeComparison(
  db: Db,
  comparisonId: string,
  clause: GateClause,
): Promise<Gate> {
  const [known] = await db
    .select({ id: comparisons.id })
    .from(comparisons)
    .where(eq(comparisons.id, comparisonId))
  if (known === undefined) throw new NotFound(`no comparison ${comparisonId}`)
  return judge(await comparedTasks(db, comparisonId), clause)
}

/** A rule about a suite is one about its tasks, as they weigh in it. */
export function judge(compared: readonly ComparedTask[], { adjust, rules }: GateClause): Gate {
  const issues: Issue[] = []
  const spelt = rules.map(({ suite, ...rule }, i) => {
    if (suite === null) return rule
    const entry = suites.get(suite)
    const wrong = (message: string) => issues.push({ path: ['rules', String(i), 'suite'], message })
    if (rule.task !== null || rule.tasks !== null)
      wrong('expected one of suite, task and tasks, got several')
    if (entry === undefined) {
      wrong(`expected one of ${[...suites.keys()].join(', ')}, got "${suite}"`)
      return rule
    }
    const weights = weightsIn(entry, (task) => sizeOf(compared, task))
    return { ...rule, tasks: Object.keys(weights), weights }
  })
  if (issues.length > 0) throw new InvalidInput(issues)
  return gate(compared, spelt, { adjust })
}

/** Tasks before anything is measured, for rules to be checked against. */
export const unmeasured = (wanted: readonly Parameters<typeof entryOf>[0][]): ComparedTask[] =>
  wanted.map((one) => {
    const { task } = one
    const { headline, metrics } = entryOf(one)!
    const nothing = (metric: string): Paired => ({
      n: 0,
      leftOut: 0,
      baseline: NaN,
      candidate: NaN,
      gained: 0,
      lost: 0,
      deviation: null,
      binary: false,
      bounded: metricOf(metric).aggregate === 'MEAN',
    })
    return {
      task,
      headline,
      metrics: Object.fromEntries(metrics.map((metric) => [metric, nothing(metric)])),
    }
  })

/**
 * What each task counts in a suite's value. A task whose rows stand in for another's counts for both: the two are the same samples,
 * and no independent ones.
 */
export function weightsIn(
  suite: SuiteEntry,
  sizeIn: (task: string) => number,
): Record<string, number> {
  const weights: Record<string, number> = {}
  for (const { members } of suite.groups) {
    for (const { task, rowsOf } of members) {
      const own = suite.weighting === 'BY_SIZE' ? Math.max(1, sizeIn(task)) : 1
      const counted = rowsOf ?? task
      const share = suite.meanOf === 'GROUPS' ? own / members.length : own
      weights[counted] = (weights[counted] ?? 0) + share
    }
  }
  return weights
}

const headlineOf = (compared: readonly ComparedTask[], task: string): Paired | undefined => {
  const found = compared.find((other) => other.task === task)
  return found?.metrics[found.headline]
}
const sizeOf = (compared: readonly ComparedTask[], task: string) =>
  headlineOf(compared, task)?.n ?? 0

export type ComparedSuite = SuiteDifference & { readonly suite: string; readonly title: string }

/** The suites of which both sides have every task, asked as the suite asks it. */
export async function comparedSuites(db: Db, comparisonId: string): Promise<ComparedSuite[]> {
  const rows = await db
    .selectDistinctOn([comparisonTasks.task], {
      task: comparisonTasks.task,
      settings: evaluations.settings,
    })
    .from(comparisonTasks)
    .innerJoin(evaluations, eq(evaluations.id, comparisonTasks.candidateEvaluationId))
    .where(eq(comparisonTasks.comparisonId, comparisonId))
  const settings = new Map<string, EvaluationSettings>(rows.map((row) => [row.task, row.settings]))
  const complete = [...suites].filter(
    ([, suite]) =>
      membersOf(suite).every(({ task }) => settings.has(task)) && asksAs(suite, settings),
  )
  if (complete.length === 0) return []
  const compared = await comparedTasks(db, comparisonId)
  return complete.flatMap(([name, suite]) => {
    const weights = weightsIn(suite, (task) => sizeOf(compared, task))
    const members = Object.entries(weights).flatMap(([task, weight]) => {
      const paired = headlineOf(compared, task)
      return paired === undefined ? [] : [{ paired, weight }]
    })
    if (members.length < Object.keys(weights).length) return []
    const difference = differSuite(members)
    return difference === null ? [] : [{ suite: name, title: suite.title, ...difference }]
  })
}
