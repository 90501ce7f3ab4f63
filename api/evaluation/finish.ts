/** The end of an evaluation: its samples become scores. */
import { eq, sql } from 'drizzle-orm'
import { evaluations, samples, scores } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { InvalidInput, NotFound } from '../problem.ts'
import { valueOfSamples, type Scored } from './value.ts'

/**
 * Writes value and standard error of every metric and marks the evaluation as finished. Runs in ingest's transaction, and again
 * without harm. A score that is not finite counts for nothing: the metric's n is then below the number of documents.
 * InvalidInput where samples are missing: a value over a part of a benchmark would look like the whole.
 */
export async function finishEvaluation(db: Db, evaluationId: string): Promise<void> {
  const [evaluation] = await db
    .select({
      key: evaluations.key,
      documents: evaluations.documents,
      contaminated: evaluations.contaminated,
    })
    .from(evaluations)
    .where(eq(evaluations.id, evaluationId))
  if (evaluation === undefined) throw new NotFound(`no evaluation ${evaluationId}`)

  const rows = await db
    .select({
      scores: samples.scores,
      weights: samples.weights,
      contamination: samples.contamination,
    })
    .from(samples)
    .where(eq(samples.evaluationId, evaluationId))
  if (rows.length !== evaluation.documents) {
    const message = `evaluation ${evaluation.key}: expected samples of ${evaluation.documents} documents, got ${rows.length}`
    throw new InvalidInput([{ path: ['evaluated', evaluation.key], message }])
  }

  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.scores)))]
  const looked = evaluation.contaminated !== null
  const clean = rows.filter(({ contamination }) => contamination === 0)
  const summaries = metrics.flatMap((metric) => {
    const valued = valueOfSamples(metric, scoredOn(metric, rows))
    if (valued === null) return []
    const unseen = looked ? valueOfSamples(metric, scoredOn(metric, clean)) : null
    const { n: cleanN, value: cleanValue, standardError: cleanStandardError } = unseen ?? nothing
    return [{ evaluationId, metric, ...valued, cleanN, cleanValue, cleanStandardError }]
  })
  await db.delete(scores).where(eq(scores.evaluationId, evaluationId))
  if (summaries.length > 0) await db.insert(scores).values(summaries)
  await db
    .update(evaluations)
    .set({ finishedAt: sql`now()`, stoppedEarly: false })
    .where(eq(evaluations.id, evaluationId))
}

const nothing = { n: null, value: null, standardError: null }

type Row = Pick<typeof samples.$inferSelect, 'scores' | 'weights'>

const scoredOn = (metric: string, rows: readonly Row[]): Scored[] =>
  rows.flatMap(({ scores: { [metric]: score }, weights }) =>
    score == null ? [] : [{ score, weight: weights?.[metric] ?? 1 }],
  )
