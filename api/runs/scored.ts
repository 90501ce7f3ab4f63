/** Evaluations while they are scored: begun, filled and finished by the attempts of one run, or of the shards of one. */
import { and, count, eq, gt, isNull, sql } from 'drizzle-orm'
import type { EventBody } from '#schema/protocol.ts'
import { baseModels, evaluationShards, evaluations, samples, scores } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { answersKey, sampleKey } from '../evaluation/answersKey.ts'
import { finishEvaluation } from '../evaluation/finish.ts'
import type { Evaluation } from '../evaluation/reuse.ts'
import { settingsHash } from '../evaluation/settings.ts'
import { InvalidInput } from '../problem.ts'
import { adapterFiles, adapterOf, orders } from './job.ts'
import { leadOf, shardOf, type Run } from './run.ts'

/** What a runtime said contradicts the run. */
export const wrong = (what: string, message: string) =>
  new InvalidInput([{ path: ['events'], message: `${what}: ${message}` }])

/**
 * Opens the evaluation of an order. One that an earlier attempt or another shard has opened keeps its samples, unless what is asked
 * has changed since.
 */
export async function beginEvaluation(
  tx: Db,
  run: Run,
  { key, promptHash, documents }: EventBody<'evaluation'>,
): Promise<void> {
  const all = orders(run)
  const order = all.find((order) => order.key === key)
  if (order === undefined)
    throw wrong(key, `expected one of ${all.map((order) => order.key).join(', ')}`)
  const adapter = order.subject === 'ADAPTER' ? await adapterOf(tx, run) : null
  if (order.subject === 'ADAPTER' && adapter === null) throw wrong(key, 'there is no adapter yet')
  const { settings } = order
  const [model] = await tx
    .select({ revision: baseModels.revision })
    .from(baseModels)
    .where(eq(baseModels.id, run.baseModelId))
  const said = {
    promptHash,
    documents,
    answersKey: answersKey({
      modelRevision: model!.revision,
      adapter: adapter && [
        { name: 'adapter_model.safetensors', sha256: adapter.sha256 },
        ...(await adapterFiles(tx, adapter)),
      ],
      settings,
    }),
  }
  await tx
    .insert(evaluations)
    .values({
      ...said,
      runId: leadOf(run),
      key,
      baseModelId: run.baseModelId,
      adapterId: adapter?.id ?? null,
      task: settings.task,
      settings,
      settingsHash: settingsHash(settings),
    })
    .onConflictDoNothing({ target: [evaluations.runId, evaluations.key] })
  const evaluation = (await lockEvaluation(tx, run, key))!
  const same =
    evaluation.promptHash === promptHash &&
    evaluation.documents === documents &&
    evaluation.answersKey === said.answersKey
  if (same) {
    // An attempt draws the same documents again from the first; what is known of them costs nothing.
    if (evaluation.drawn !== null && evaluation.decision === null)
      await tx.update(evaluations).set({ drawn: null }).where(eq(evaluations.id, evaluation.id))
    return
  }
  if (shardOf(run) !== null)
    throw wrong(
      key,
      `expected the ${evaluation.documents} documents of prompt hash ${evaluation.promptHash} that its other shards have, got ${documents} of ${promptHash}`,
    )
  await tx
    .update(evaluations)
    .set({ ...said, contaminated: null, finishedAt: null, ...undrawn })
    .where(eq(evaluations.id, evaluation.id))
  await tx.delete(samples).where(eq(samples.evaluationId, evaluation.id))
  await tx.delete(scores).where(eq(scores.evaluationId, evaluation.id))
}

const undrawn = { drawn: null, decision: null, stoppedEarly: false }

/** Samples replace those of the same documents. */
export async function recordSamples(
  tx: Db,
  run: Run,
  { key, samples: said }: EventBody<'samples'>,
): Promise<void> {
  const evaluation = await openEvaluation(tx, run, key)
  if (evaluation === null) return
  const { id: evaluationId, answersKey: answers } = evaluation
  // The last one counts where a document is named twice: one statement may not touch a row twice.
  const rows = new Map(
    said.map(({ content, ...sample }) => {
      const unusable = content === undefined || answers === null
      return [
        sample.document,
        { evaluationId, ...sample, key: unusable ? null : sampleKey(answers, content) },
      ]
    }),
  )
  if (rows.size === 0) return
  const names = [
    'hash',
    'key',
    'gold',
    'picked',
    'choices',
    'scores',
    'weights',
    'question',
    'answers',
    'response',
  ] as const
  const set = Object.fromEntries(names.map((name) => [name, sql.raw(`excluded.${name}`)]))
  await tx
    .insert(samples)
    .values([...rows.values()])
    .onConflictDoUpdate({ target: [samples.evaluationId, samples.document], set })
}

/** Samples that were not named before, and are not now, share nothing. */
export async function recordContamination(
  tx: Db,
  run: Run,
  { key, documents }: EventBody<'contamination'>,
): Promise<void> {
  const evaluation = await openEvaluation(tx, run, key)
  if (evaluation === null) return
  const mine = eq(samples.evaluationId, evaluation.id)
  await tx
    .update(samples)
    .set({ contamination: 0 })
    .where(and(mine, isNull(samples.contamination)))
  await tx.execute(sql`
    update samples set contamination = found.overlap,
           contaminated_by = jsonb_build_object('dataset', found.dataset, 'row', found.row)
    from jsonb_to_recordset(${JSON.stringify(documents)}::jsonb) as found(document int, overlap float8, "row" int, dataset text)
    where samples.evaluation_id = ${evaluation.id} and samples.document = found.document`)
  const [found] = await tx
    .select({ n: count() })
    .from(samples)
    .where(and(mine, gt(samples.contamination, 0)))
  await tx
    .update(evaluations)
    .set({ contaminated: found!.n })
    .where(eq(evaluations.id, evaluation.id))
}

/** An evaluation in shards is finished by whichever shard ends last. */
export async function endEvaluation(
  tx: Db,
  run: Run,
  { key, documents, stopped = false }: EventBody<'evaluated'>,
): Promise<void> {
  const evaluation = await openEvaluation(tx, run, key)
  if (evaluation === null) return
  if (stopped) {
    if (!evaluation.stoppedEarly) throw wrong(key, 'nobody asked for its end')
    return
  }
  if (evaluation.documents !== documents)
    throw wrong(
      key,
      `expected the ${evaluation.documents} documents that were announced, got ${documents}`,
    )
  const shard = shardOf(run)
  if (shard !== null) {
    const { id: evaluationId } = evaluation
    await tx
      .insert(evaluationShards)
      .values({ evaluationId, index: shard.index, runId: run.id })
      .onConflictDoNothing()
    const [done] = await tx
      .select({ shards: count() })
      .from(evaluationShards)
      .where(eq(evaluationShards.evaluationId, evaluationId))
    if (done!.shards < shard.count) return
  }
  await finishEvaluation(tx, evaluation.id)
}

/**
 * The evaluation of a key, locked: shards end it under this lock. Null where another run of the same shard was there first and all is
 * finished.
 */
export async function openEvaluation(tx: Db, run: Run, key: string): Promise<Evaluation | null> {
  const evaluation = await lockEvaluation(tx, run, key)
  if (evaluation === null) throw wrong(key, 'no evaluation of this key has begun')
  if (evaluation.finishedAt === null) return evaluation
  if (shardOf(run) !== null) return null
  throw wrong(key, 'this evaluation is finished')
}

async function lockEvaluation(tx: Db, run: Run, key: string): Promise<Evaluation | null> {
  const [evaluation] = await tx
    .select()
    .from(evaluations)
    .where(and(eq(evaluations.runId, leadOf(run)), eq(evaluations.key, key)))
    .for('no key update')
  return evaluation ?? null
}
