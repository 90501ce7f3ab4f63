/** The leaderboard: one board for each set of comparable scores, ranked by paired differences and not by points. */
import { and, desc, eq, isNotNull } from 'drizzle-orm'
import { entryOf } from '#schema/customTask.ts'
import type { EvaluationSettings } from '#schema/spec.ts'
import { adapters, baseModels, comparisons, evaluations, scores } from '#schema/tables.ts'
import { metrics, type Metric } from '#schema/metrics.ts'
import { taskNames } from '#schema/tasks.ts'
import type { Db } from '../database.ts'
import { differ, type Difference } from './difference.ts'
import { z, type Interval } from './confidence.ts'
import { wilson } from './mean.ts'
import { countPairs, type Pair } from './pairs.ts'

/** One subject's row on a board. */
export type Standing = {
  /** Rows that cannot be told apart from the leader of their group share its rank; the next group counts on: 1, 1, 3. */
  readonly rank: number
  readonly evaluationId: string
  /** The run that scored it. */
  readonly runId: string
  readonly baseModel: { readonly id: string; readonly name: string }
  /** Null: the base model itself, the board's zero line for its adapters. */
  readonly adapter: {
    readonly id: string
    readonly name: string
    readonly runId: string | null
  } | null
  readonly n: number
  readonly value: number
  readonly standardError: number | null
  /** Over the samples that share nothing with what the adapter was trained on; null where nobody looked, or none is left. */
  readonly clean: { readonly n: number; readonly value: number } | null
  /** Of the value alone, Wilson's for accuracies; not for comparing rows, which are paired. Null where there is no standard error. */
  readonly interval: Interval | null
  /** To its own base model on the same samples; null for a base model, and where the base is not on this board. */
  readonly toBase: Difference | null
  /** The stored comparison of the adapter's training run. */
  readonly comparisonId: string | null
  readonly finishedAt: Date
}

/** Scores that may be compared: one task, one settings hash, one prompt hash. `metric` is the task's headline. */
export type Board = {
  readonly task: string
  readonly title: string
  readonly metric: Metric
  readonly settings: EvaluationSettings
  readonly settingsHash: string
  readonly promptHash: string
  readonly rows: readonly Standing[]
}

/** In the catalogue; tasks that runs declare come after it. */
const placeOf = (task: string): number =>
  taskNames.includes(task) ? taskNames.indexOf(task) : taskNames.length

type Row = Omit<Standing, 'rank' | 'toBase' | 'interval'> & {
  readonly board: Omit<Board, 'rows'>
}

/**
 * All boards, in the catalogue's order of tasks, those of more documents first. Scores stand on one board when settings (task version,
 * rows, limit, dialect, dtype) and prompt hash agree; of a subject only the newest finished evaluation counts.
 */
export async function standings(
  db: Db,
  only: { readonly task?: string | null; readonly settingsHash?: string | null } = {},
): Promise<Board[]> {
  const boards = Map.groupBy(
    await rows(db, only),
    ({ board }) => `${board.settingsHash} ${board.promptHash}`,
  )
  const filled = await Promise.all(
    [...boards.values()].map(async (all) => ({ ...all[0]!.board, rows: await rank(db, all) })),
  )
  const most = (board: Board) => Math.max(...board.rows.map((row) => row.n))
  return filled.sort(
    (a, b) =>
      placeOf(a.task) - placeOf(b.task) ||
      most(b) - most(a) ||
      b.settings.version - a.settings.version ||
      b.rows.length - a.rows.length ||
      (`${a.settingsHash}${a.promptHash}` < `${b.settingsHash}${b.promptHash}` ? -1 : 1),
  )
}

async function rows(
  db: Db,
  only: { task?: string | null; settingsHash?: string | null },
): Promise<Row[]> {
  const found = await db
    .selectDistinctOn(
      [
        evaluations.settingsHash,
        evaluations.promptHash,
        evaluations.baseModelId,
        evaluations.adapterId,
      ],
      {
        evaluation: evaluations,
        baseModel: { id: baseModels.id, name: baseModels.name },
        adapter: { id: adapters.id, name: adapters.name, runId: adapters.runId },
        comparisonId: comparisons.id,
      },
    )
    .from(evaluations)
    .innerJoin(baseModels, eq(baseModels.id, evaluations.baseModelId))
    .leftJoin(adapters, eq(adapters.id, evaluations.adapterId))
    .leftJoin(comparisons, eq(comparisons.runId, adapters.runId))
    .where(
      and(
        isNotNull(evaluations.finishedAt),
        only.task == null ? undefined : eq(evaluations.task, only.task),
        only.settingsHash == null ? undefined : eq(evaluations.settingsHash, only.settingsHash),
      ),
    )
    .orderBy(
      evaluations.settingsHash,
      evaluations.promptHash,
      evaluations.baseModelId,
      evaluations.adapterId,
      desc(evaluations.finishedAt),
      desc(evaluations.id),
    )
  const values = await db
    .select()
    .from(scores)
    .innerJoin(evaluations, eq(evaluations.id, scores.evaluationId))
    .where(
      and(
        isNotNull(evaluations.finishedAt),
        only.task == null ? undefined : eq(evaluations.task, only.task),
      ),
    )
  const scoreOf = new Map(values.map(({ scores: s }) => [`${s.evaluationId} ${s.metric}`, s]))

  return found.flatMap(({ evaluation, baseModel, adapter, comparisonId }) => {
    const { id, task, runId, settings, settingsHash, promptHash, finishedAt } = evaluation
    const entry = entryOf(settings)
    if (entry === undefined) return []
    const { title, headline: metric } = entry
    const score = scoreOf.get(`${id} ${metric}`)
    if (score === undefined) return []
    const { n, value, standardError, cleanN, cleanValue } = score
    const clean = cleanN === null ? null : { n: cleanN, value: cleanValue! }
    const board = { task, title, metric, settings, settingsHash, promptHash }
    return [
      {
        board,
        evaluationId: id,
        runId,
        baseModel,
        adapter,
        comparisonId,
        n,
        value,
        standardError,
        clean,
        finishedAt: finishedAt!,
      },
    ]
  })
}

/** The best first; equal scores by age and id, so that the order never depends on the database's mood. */
const order = (a: Row, b: Row): number =>
  (metrics[a.board.metric].goal === 'MAX' ? b.value - a.value : a.value - b.value) ||
  a.finishedAt.getTime() - b.finishedAt.getTime() ||
  (a.evaluationId < b.evaluationId ? -1 : 1)

async function rank(db: Db, unordered: readonly Row[]): Promise<Standing[]> {
  const sorted = [...unordered].sort(order)
  const { metric } = sorted[0]!.board
  const versions = new Map(sorted.map((row) => [row.evaluationId, row.finishedAt]))
  const compare = (pairs: readonly Pair[]) => differences(db, metric, pairs, versions)
  const ranks = await rankGroups(
    sorted.map((row) => row.evaluationId),
    compare,
  )
  const bases = new Map(
    sorted.filter((row) => row.adapter === null).map((row) => [row.baseModel.id, row.evaluationId]),
  )
  const tuned = sorted.filter((row) => row.adapter !== null && bases.has(row.baseModel.id))
  const toBase = await compare(
    tuned.map((row) => ({ baseline: bases.get(row.baseModel.id)!, candidate: row.evaluationId })),
  )
  return sorted.map(({ board: _, ...row }, i) => ({
    ...row,
    rank: ranks[i]!,
    interval: intervalOfValue(metric, row),
    toBase: toBase[tuned.indexOf(sorted[i]!)] ?? null,
  }))
}

function intervalOfValue(
  metric: Metric,
  { value, standardError, n }: Pick<Row, 'value' | 'standardError' | 'n'>,
): Interval | null {
  if (metrics[metric].standardError === 'MEAN') return wilson(value, n)
  if (standardError === null) return null
  return { low: Math.max(0, value - z * standardError), high: value + z * standardError }
}

/**
 * Differences between finished evaluations, which do not change: the leaderboard is public, and counting the same pairs for
 * every visitor would be the most expensive thing that a stranger can ask for. Keyed by ids and times of finishing.
 */
const known = new Map<string, Difference | null>()
const mostKnown = 50_000

async function differences(
  db: Db,
  metric: string,
  pairs: readonly Pair[],
  finishedAt: ReadonlyMap<string, Date>,
): Promise<(Difference | null)[]> {
  const side = (id: string) => `${id}@${finishedAt.get(id)!.getTime()}`
  const key = ({ baseline, candidate }: Pair) => `${metric} ${side(baseline)} ${side(candidate)}`
  const wanted = pairs.filter((pair) => !known.has(key(pair)))
  const counted = (await countPairs(db, metric, wanted)).map((paired) => differ(paired))
  const fresh = new Map(wanted.map((pair, i) => [key(pair), counted[i]!]))
  const found = pairs.map((pair) => fresh.get(key(pair)) ?? known.get(key(pair)) ?? null)
  if (known.size + fresh.size > mostKnown) known.clear()
  for (const [name, difference] of fresh) known.set(name, difference)
  return found
}

/**
 * Ranks of evaluations that are sorted by score. The first leads a group; who follows belongs to it while the interval of the
 * paired difference to the leader contains 0 (or nothing can be paired); the first who does not leads the next group.
 */
export async function rankGroups(
  sorted: readonly string[],
  compare: (pairs: readonly Pair[]) => Promise<readonly (Difference | null)[]>,
): Promise<number[]> {
  const ranks: number[] = []
  while (ranks.length < sorted.length) {
    const [leader, ...others] = sorted.slice(ranks.length)
    const against = await compare(others.map((candidate) => ({ baseline: leader!, candidate })))
    const apart = against.findIndex(
      (difference) => difference !== null && (difference.high < 0 || difference.low > 0),
    )
    const size = apart === -1 ? others.length + 1 : apart + 1
    ranks.push(...Array<number>(size).fill(ranks.length + 1))
  }
  return ranks
}
