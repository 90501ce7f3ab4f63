/** A candidate against a baseline: by the training run that made it, or by request. */
import { and, eq, isNotNull, isNull } from 'drizzle-orm'
import {
  adapters,
  baseModels,
  comparisonTasks,
  comparisons,
  evaluations,
  runs,
} from '#schema/tables.ts'
import { entryOf } from '#schema/customTask.ts'
import { tasks } from '#schema/tasks.ts'
import type { Actor, Context } from '../context.ts'
import type { Db } from '../database.ts'
import { Conflict, InvalidInput, NotFound } from '../problem.ts'
import { holm } from './holm.ts'
import { compareScores, pairedOf, type PairedScores, type ScoreDifference } from './paired.ts'
import { readPairs } from './pairs.ts'
import { minimalDetectableEffect } from './power.ts'
import { reusable, type Evaluation } from './reuse.ts'
import { settingsHash } from './settings.ts'

/** The row; its numbers are rows of `comparisonTasks`. */
export type Comparison = typeof comparisons.$inferSelect

/** What can be scored: a base model itself, or an adapter on the base it was trained on. */
export type SubjectRef = { readonly modelId: string } | { readonly adapterId: string }

type Subject = { readonly baseModelId: string; readonly adapterId: string | null }

/**
 * Compares the adapter that a finished run trained, or scored with a gate, with its base model on every task of its spec. The base's
 * evaluation may be of another run. Runs in ingest's transaction; a second call finds the comparison that is there.
 * Null where there is no such adapter or nothing could be paired.
 */
export async function compareRun(db: Db, runId: string): Promise<string | null> {
  const [run] = await db.select().from(runs).where(eq(runs.id, runId))
  if (run === undefined) throw new NotFound(`no run ${runId}`)
  const [before] = await db
    .select({ id: comparisons.id })
    .from(comparisons)
    .where(eq(comparisons.runId, runId))
  if (before !== undefined) return before.id
  if (run.spec.kind === 'INSPECT') return null
  if (run.spec.kind === 'EVALUATE' && run.spec.gate === undefined) return null
  const mine =
    run.spec.kind === 'TRAIN' ? eq(adapters.runId, runId) : eq(adapters.id, run.adapterId!)
  const [adapter] =
    run.spec.evaluate.length === 0 ? [] : await db.select().from(adapters).where(mine)
  if (adapter === undefined) return null

  const pairs: EvaluationPair[] = []
  for (const { settings } of run.spec.evaluate) {
    const wanted = { baseModelId: run.baseModelId, settingsHash: settingsHash(settings) }
    const baseline = await reusable(db, { ...wanted, adapterId: null })
    const candidate = await reusable(db, { ...wanted, adapterId: adapter.id })
    if (baseline !== null && candidate !== null) pairs.push({ baseline, candidate })
  }
  const subjects = {
    baseline: { baseModelId: run.baseModelId, adapterId: null },
    candidate: { baseModelId: adapter.baseModelId, adapterId: adapter.id },
  }
  const comparison = await insertComparison(
    db,
    { accountId: run.accountId, runId, ...subjects },
    pairs,
  )
  return comparison?.id ?? null
}

/**
 * Compares any two subjects on the tasks that both were scored on under the same settings; where a task has several such
 * settings, the ones with most documents. NotFound for an unknown subject, InvalidInput for an unknown task,
 * Conflict where the two share nothing.
 */
export async function compareSubjects(
  ctx: Pick<Context, 'db'>,
  actor: Actor,
  input: {
    readonly baseline: SubjectRef
    readonly candidate: SubjectRef
    readonly tasks?: readonly string[] | null
  },
): Promise<Comparison> {
  const wrong = (input.tasks ?? []).flatMap((task, i) =>
    tasks.has(task)
      ? []
      : [
          {
            path: ['tasks', String(i)],
            message: `expected one of ${[...tasks.keys()].join(', ')}, got "${task}"`,
          },
        ],
  )
  if (wrong.length > 0) throw new InvalidInput(wrong)
  return ctx.db.transaction(async (tx) => {
    const baseline = await findSubject(tx, input.baseline)
    const candidate = await findSubject(tx, input.candidate)
    const [ofBaseline, ofCandidate] = [await newest(tx, baseline), await newest(tx, candidate)]
    const shared = new Map<string, EvaluationPair>()
    for (const [key, evaluation] of ofCandidate) {
      const partner = ofBaseline.get(key)
      const found = shared.get(evaluation.task)
      if (partner === undefined || (input.tasks != null && !input.tasks.includes(evaluation.task)))
        continue
      if (found !== undefined && found.candidate.documents >= evaluation.documents) continue
      shared.set(evaluation.task, { baseline: partner, candidate: evaluation })
    }
    const comparison = await insertComparison(
      tx,
      { accountId: actor.accountId, runId: null, baseline, candidate },
      [...shared.values()],
    )
    if (comparison === null) {
      const list = (of: Map<string, Evaluation>) =>
        [...new Set([...of.values()].map((e) => e.task))].join(', ') || 'none'
      throw new Conflict(
        `expected a task on which both were scored under the same settings; baseline has ${list(ofBaseline)}, ` +
          `candidate has ${list(ofCandidate)}`,
      )
    }
    return comparison
  })
}

/**
 * Of the paired bootstrap: 2,000 put the ends of an interval within some hundredths of its width, in a tenth of a second for a
 * thousand pairs. The tests of graded scores take more.
 */
const resamples = 2000

type EvaluationPair = { readonly baseline: Evaluation; readonly candidate: Evaluation }

/** Inserts a comparison of every metric of every pair. Null, and nothing inserted, where no sample could be paired. */
async function insertComparison(
  db: Db,
  head: { accountId: string; runId: string | null; baseline: Subject; candidate: Subject },
  pairs: readonly EvaluationPair[],
): Promise<Comparison | null> {
  const rows = []
  const headlineOf = new Map(
    pairs.map(({ candidate }) => [candidate.task, entryOf(candidate.settings)?.headline]),
  )
  for (const { baseline, candidate } of pairs) {
    const { task, id: candidateEvaluationId } = candidate
    for (const metric of entryOf(candidate.settings)?.metrics ?? []) {
      const scores = await readPairs(db, metric, {
        baseline: baseline.id,
        candidate: candidateEvaluationId,
      })
      const paired = pairedOf(scores)
      const found = compareScores(scores, paired.binary ? { resamples } : {})
      // A single pair of log-likelihoods bounds nothing.
      if (found === null || !Number.isFinite(found.high - found.low)) continue
      const { bootstrap, ...difference } = found
      const effect = minimalDetectableEffect(paired)
      const clean = scores.seen === null ? null : compareUnseen(scores, scores.seen, found)
      rows.push({
        task,
        metric,
        baselineEvaluationId: baseline.id,
        candidateEvaluationId,
        ...difference,
        bootstrapLow: bootstrap.low,
        bootstrapHigh: bootstrap.high,
        detectable: effect !== null && Number.isFinite(effect) ? effect : null,
        ...clean,
      })
    }
  }
  if (rows.length === 0) return null
  const headlines = rows.filter(({ task, metric }) => headlineOf.get(task) === metric)
  const adjusted = holm(headlines.map(({ pValue }) => pValue))
  const [comparison] = await db
    .insert(comparisons)
    .values({
      accountId: head.accountId,
      runId: head.runId,
      baselineModelId: head.baseline.baseModelId,
      baselineAdapterId: head.baseline.adapterId,
      candidateModelId: head.candidate.baseModelId,
      candidateAdapterId: head.candidate.adapterId,
    })
    .returning()
  await db.insert(comparisonTasks).values(
    rows.map((row) => ({
      comparisonId: comparison!.id,
      ...row,
      adjustedP: adjusted[headlines.indexOf(row)] ?? null,
    })),
  )
  return comparison!
}

/** The comparison over the documents that neither side was trained on; null where nothing bounds it. */
function compareUnseen(scores: PairedScores, seen: readonly boolean[], all: ScoreDifference) {
  const unseen = (side: readonly (number | null)[]) =>
    side.map((score, i) => (seen[i]! ? null : score))
  const { baseline, candidate } = scores
  const found = seen.some(Boolean)
    ? compareScores(
        { ...scores, baseline: unseen(baseline), candidate: unseen(candidate) },
        { resamples },
      )
    : all
  if (found === null || !Number.isFinite(found.high - found.low)) return null
  return {
    cleanN: found.n,
    cleanBaseline: found.baseline,
    cleanCandidate: found.candidate,
    cleanDifference: found.difference,
    cleanLow: found.low,
    cleanHigh: found.high,
    cleanPValue: found.pValue,
  }
}

/** NotFound where there is none. */
export async function findSubject(db: Db, ref: SubjectRef): Promise<Subject> {
  if ('adapterId' in ref) {
    const [adapter] = await db.select().from(adapters).where(eq(adapters.id, ref.adapterId))
    if (adapter === undefined) throw new NotFound(`no adapter ${ref.adapterId}`)
    return { baseModelId: adapter.baseModelId, adapterId: adapter.id }
  }
  const [model] = await db.select().from(baseModels).where(eq(baseModels.id, ref.modelId))
  if (model === undefined) throw new NotFound(`no model ${ref.modelId}`)
  return { baseModelId: model.id, adapterId: null }
}

/** The newest finished evaluation of a subject for each settings hash. */
async function newest(
  db: Db,
  { baseModelId, adapterId }: Subject,
): Promise<Map<string, Evaluation>> {
  const rows = await db
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
  return new Map(rows.map((row) => [row.settingsHash, row]))
}
