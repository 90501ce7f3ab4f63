/** What a run came to: the finished evaluations of one of its subjects, whichever runs scored them. */
import { eq, inArray } from 'drizzle-orm'
import { baseModels, runs, scores } from '#schema/tables.ts'
import type { Subject } from '#schema/protocol.ts'
import type { Db } from '../database.ts'
import { reusable } from '../evaluation/reuse.ts'
import { settingsHash } from '../evaluation/settings.ts'
import { Conflict, NotFound } from '../problem.ts'
import { adapterOf, orders } from '../runs/job.ts'
import { suiteNames } from '../runs/run.ts'
import type { HarnessRun, TaskResult } from './harness.ts'

/**
 * Of the adapter where the run has one, unless `wanted` says otherwise. NotFound where there is no such run or subject, Conflict as long
 * as scores are missing.
 */
export async function runResults(
  db: Db,
  id: string,
  wanted: Subject | null,
): Promise<{ run: HarnessRun; results: TaskResult[] }> {
  const [run] = await db.select().from(runs).where(eq(runs.id, id))
  if (run === undefined) throw new NotFound(`no run ${id}`)
  const asked = orders(run)
  const subjects = [...new Set(asked.map(({ subject }) => subject))]
  const subject = wanted ?? subjects.at(-1)
  if (subject === undefined || !subjects.includes(subject))
    throw new NotFound(
      `run ${id} scores ${subjects.join(' and ') || 'nothing'}${wanted === null ? '' : `, not ${wanted}`}`,
    )
  const adapter = subject === 'ADAPTER' ? await adapterOf(db, run) : null
  const mine = asked.filter((order) => order.subject === subject)
  const found = await Promise.all(
    mine.map(async ({ settings }) =>
      subject === 'ADAPTER' && adapter === null
        ? null
        : await reusable(db, {
            baseModelId: run.baseModelId,
            adapterId: adapter?.id ?? null,
            settingsHash: settingsHash(settings),
          }),
    ),
  )
  const missing = mine.filter((_, i) => found[i] === null).map(({ settings }) => settings.task)
  if (missing.length > 0)
    throw new Conflict(
      `run ${id} is ${run.status}; there are no scores yet of ${missing.join(', ')}`,
    )
  const evaluations = found.filter((evaluation) => evaluation !== null)
  const [model] = await db.select().from(baseModels).where(eq(baseModels.id, run.baseModelId))
  const ids = evaluations.map((evaluation) => evaluation.id)
  const rows = await db.select().from(scores).where(inArray(scores.evaluationId, ids))
  const { startedAt, finishedAt } = run
  return {
    run: {
      model: model!,
      adapter,
      suites: suiteNames(run),
      finishedAt,
      seconds: startedAt && finishedAt && (finishedAt.getTime() - startedAt.getTime()) / 1000,
    },
    results: evaluations.map(({ id: evaluationId, task, documents, settings }) => ({
      task,
      documents,
      settings,
      scores: rows
        .filter((row) => row.evaluationId === evaluationId)
        .toSorted((a, b) => (a.metric < b.metric ? -1 : 1)),
    })),
  }
}
