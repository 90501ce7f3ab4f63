/** What a subject has scored, by task. */
import { and, eq, inArray, isNotNull, isNull } from 'drizzle-orm'
import { metrics, type Metric } from '#schema/metrics.ts'
import type { EvaluationSettings } from '#schema/spec.ts'
import { membersOf, type SuiteEntry, type SuiteMember } from '#schema/suites.ts'
import { evaluations, scores } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import type { Db } from '../database.ts'
import type { Evaluation } from './reuse.ts'
import type { TaskScore } from './suiteResult.ts'

/** A base model itself, or an adapter on it. */
export type ScoredSubject = { readonly baseModelId: string; readonly adapterId: string | null }

/** How a suite's tasks were asked, beside what the suite itself says. */
export type Asked = Pick<
  EvaluationSettings,
  'limit' | 'fewShot' | 'fewShotSeed' | 'chatTemplate' | 'fewShotAsMultiturn' | 'systemInstruction'
> & { readonly dtype: string }

/** The newest finished evaluation of each settings hash. */
export const scoresUnder = (
  db: Db,
  subject: ScoredSubject,
  hashes: readonly string[],
): Promise<Map<string, TaskScore[]>> =>
  scoresOf(db, subject, ({ settingsHash }) => hashes.includes(settingsHash))

/**
 * The newest finished evaluation of each of a suite's tasks that was asked as the suite does; rows that the suite takes from
 * another task, or must not take, are told by their hash.
 */
export async function scoresIn(
  db: Db,
  subject: ScoredSubject,
  suite: SuiteEntry,
  asked: Asked,
): Promise<Map<string, TaskScore[]>> {
  const members = new Map(membersOf(suite).map((member) => [member.task, member]))
  const fits = ({ task, settings }: Evaluation) =>
    members.has(task) && isAsked(settings, members.get(task)!, asked)
  const newest = await newestOf(db, subject, fits)
  const rowsOf = (task: string | undefined) => newest.get(task ?? '')?.settings.rowsSha256
  return scoresOf(db, subject, (evaluation) => {
    const { task, settings } = evaluation
    if (!fits(evaluation)) return false
    const { rowsOf: same, notRowsOf: other } = members.get(task)!
    return (
      (same === undefined || settings.rowsSha256 === rowsOf(same)) &&
      (other === undefined || settings.rowsSha256 !== rowsOf(other))
    )
  })
}

/** What a suite does not say is as the dialect has it. */
export const bosOf = ({
  dialect,
  bos,
}: {
  readonly dialect: SuiteMember['dialect']
  readonly bos?: SuiteMember['bos'] | undefined
}): EvaluationSettings['bos'] => bos ?? (dialect === 'NOUS' ? 'NEVER' : 'TOKENIZER')

function isAsked(
  settings: EvaluationSettings,
  { task, dialect, bos }: SuiteMember,
  asked: Asked,
): boolean {
  const wanted = {
    ...asked,
    version: tasks.get(task)!.version,
    dialect,
    bos: bosOf({ dialect, bos }),
  } as const
  return Object.entries(wanted).every(
    ([name, value]) => settings[name as keyof EvaluationSettings] === value,
  )
}

/** Whether evaluations under these settings, by task, are a suite: each asked as the suite asks it, and all alike. */
export function asksAs(
  suite: SuiteEntry,
  settings: ReadonlyMap<string, EvaluationSettings>,
): boolean {
  const members = membersOf(suite)
  const first = settings.get(members[0]!.task)!
  const { limit, fewShot, fewShotSeed, chatTemplate, fewShotAsMultiturn, systemInstruction } = first
  const asked = { limit, fewShot, fewShotSeed, chatTemplate, fewShotAsMultiturn, systemInstruction }
  const rowsOf = (task: string | undefined) => settings.get(task ?? '')?.rowsSha256
  return members.every((member) => {
    const { task, rowsOf: same, notRowsOf: other } = member
    const own = settings.get(task)!
    return (
      isAsked(own, member, { ...asked, dtype: first.dtype }) &&
      (same === undefined || own.rowsSha256 === rowsOf(same)) &&
      (other === undefined || own.rowsSha256 !== rowsOf(other))
    )
  })
}

async function scoresOf(
  db: Db,
  subject: ScoredSubject,
  fits: (evaluation: Evaluation) => boolean,
): Promise<Map<string, TaskScore[]>> {
  const newest = [...(await newestOf(db, subject, fits)).values()]
  if (newest.length === 0) return new Map()
  const ids = newest.map(({ id }) => id)
  const rows = await db.select().from(scores).where(inArray(scores.evaluationId, ids))
  const byEvaluation = Map.groupBy(rows, ({ evaluationId }) => evaluationId)
  return new Map(
    newest.map(({ id, task, settings: { version } }) => [
      task,
      (byEvaluation.get(id) ?? [])
        .filter(({ metric }) => Object.hasOwn(metrics, metric))
        .map(({ metric, n, value, standardError }) => ({
          task,
          version,
          metric: metric as Metric,
          n,
          mean: value,
          standardError,
        })),
    ]),
  )
}

/** By task. */
async function newestOf(
  db: Db,
  { baseModelId, adapterId }: ScoredSubject,
  fits: (evaluation: Evaluation) => boolean,
): Promise<Map<string, Evaluation>> {
  const finished = await db
    .select()
    .from(evaluations)
    .where(
      and(
        eq(evaluations.baseModelId, baseModelId),
        adapterId === null ? isNull(evaluations.adapterId) : eq(evaluations.adapterId, adapterId),
        isNotNull(evaluations.finishedAt),
      ),
    )
    .orderBy(evaluations.finishedAt, evaluations.id)
  return new Map(finished.filter(fits).map((evaluation) => [evaluation.task, evaluation]))
}
