/** The rows that each runtime event makes beside its own: curves, evaluations, samples, the adapter, the comparison. */
import { and, count, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import type { EventBody, RunEvent } from '#schema/protocol.ts'
import { adapters, artifacts, evaluations, metrics, samples, scores } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { compareRun } from '../evaluation/compare.ts'
import { finishEvaluation } from '../evaluation/finish.ts'
import { settingsHash } from '../evaluation/settings.ts'
import { InvalidInput } from '../problem.ts'
import { adapterOf, openOrders, orders } from './job.ts'
import type { Run } from './run.ts'

/** One post on its way: what it leaves to do. */
export type Step = {
  readonly tx: Db
  /** Which value left the numbers first, for people; null while all are finite. */
  nonFinite: string | null
  /** Artifacts whose rows are gone: their files follow when the transaction has committed. */
  readonly pruned: { readonly id: string; readonly runId: string }[]
}

type Recorders = {
  readonly [T in RunEvent['type']]?: (step: Step, run: Run, body: EventBody<T>) => Promise<unknown>
}

const recorders: Recorders = {
  started: ({ tx }, run, { resumedFromStep }) => forgetRepeated(tx, run, resumedFromStep),
  metrics: recordMetrics,
  checkpoint: recordCheckpoint,
  adapter: recordAdapter,
  evaluation: recordEvaluation,
  samples: recordSamples,
  evaluated: async ({ tx }, run, { key, documents }) => {
    const evaluation = await openEvaluation(tx, run, key)
    if (evaluation.documents !== documents) {
      throw wrong(
        key,
        `expected the ${evaluation.documents} documents that were announced, got ${documents}`,
      )
    }
    await finishEvaluation(tx, evaluation.id)
  },
  finished: async (step, run) => {
    const { tx } = step
    if (run.spec.kind === 'TRAIN' && (await adapterOf(tx, run)) === null)
      throw wrong(run.id, 'finished without an adapter')
    const open = await openOrders(tx, run)
    if (open.length > 0)
      throw wrong(run.id, `finished without ${open.map(({ key }) => key).join(', ')}`)
    if (run.spec.kind === 'TRAIN' && run.spec.evaluate.length > 0) await compareRun(tx, run.id)
    await prune(step, await checkpoints(tx, run.id))
  },
}

/** InvalidInput where the event contradicts the run: nothing of its post is stored then. */
export async function record<T extends RunEvent['type']>(
  step: Step,
  run: Run,
  event: Extract<RunEvent, { type: T }>,
): Promise<void> {
  // The table's key and the body's type are of one event; TypeScript does not follow that through a union.
  const recorder = recorders[event.type] as
    | ((step: Step, run: Run, body: unknown) => Promise<unknown>)
    | undefined
  await recorder?.(step, run, event.body)
}

const wrong = (what: string, message: string) =>
  new InvalidInput([{ path: ['events'], message: `${what}: ${message}` }])

/** An attempt says every step after its checkpoint again; once the adapter is there, no training step is repeated. */
async function forgetRepeated(tx: Db, run: Run, resumedFromStep: number | null): Promise<void> {
  if (run.spec.kind === 'TRAIN' && (await adapterOf(tx, run)) !== null) return
  await tx
    .delete(metrics)
    .where(and(eq(metrics.runId, run.id), gt(metrics.step, resumedFromStep ?? -1)))
}

async function recordMetrics(step: Step, run: Run, body: EventBody<'metrics'>): Promise<void> {
  const points = Object.entries(body.values).map(([name, value]) => ({
    runId: run.id,
    step: body.step,
    name,
    value,
  }))
  if (points.length === 0) return
  const lost = points.filter(({ value }) => value === null).map(({ name }) => name)
  if (lost.length > 0) step.nonFinite ??= `step ${body.step}: ${lost.join(', ')} became non-finite`
  await step.tx
    .insert(metrics)
    .values(points)
    .onConflictDoUpdate({
      target: [metrics.runId, metrics.name, metrics.step],
      set: { value: sql`excluded.value` },
    })
}

/**
 * The one that was named and the one before it stay, in case the last was written while something went wrong. So do those
 * stored since: a quick runtime uploads several before the post that names the first.
 */
async function recordCheckpoint(
  step: Step,
  run: Run,
  body: EventBody<'checkpoint'>,
): Promise<void> {
  await expectArtifacts(step.tx, run, 'CHECKPOINT', [body.artifact])
  const stored = await checkpoints(step.tx, run.id)
  await prune(step, stored.slice(stored.findIndex(({ id }) => id === body.artifact) + 2))
}

/** Newest first. */
const checkpoints = (tx: Db, runId: string) =>
  tx
    .select({ id: artifacts.id, runId: artifacts.runId })
    .from(artifacts)
    .where(and(eq(artifacts.runId, runId), eq(artifacts.kind, 'CHECKPOINT')))
    .orderBy(desc(artifacts.createdAt), desc(artifacts.step))

async function prune({ tx, pruned }: Step, old: Step['pruned']): Promise<void> {
  if (old.length === 0) return
  await tx.delete(artifacts).where(
    inArray(
      artifacts.id,
      old.map(({ id }) => id),
    ),
  )
  pruned.push(...old)
}

async function recordAdapter({ tx }: Step, run: Run, body: EventBody<'adapter'>): Promise<void> {
  if (run.spec.kind !== 'TRAIN') throw wrong(run.id, 'an evaluation makes no adapter')
  await expectArtifacts(tx, run, 'ADAPTER', body.artifacts)
  const { r, alpha, targetModules } = run.spec.lora
  const made = { sha256: body.sha256, parameters: body.parameters, step: body.step ?? null }
  await tx
    .insert(adapters)
    .values({
      ...made,
      runId: run.id,
      name: run.name,
      baseModelId: run.baseModelId,
      r,
      alpha,
      targetModules,
      parentId: run.adapterId,
    })
    .onConflictDoUpdate({ target: adapters.runId, set: made })
}

async function expectArtifacts(
  tx: Db,
  run: Run,
  kind: 'ADAPTER' | 'CHECKPOINT',
  ids: readonly string[],
): Promise<void> {
  const mine = and(
    eq(artifacts.runId, run.id),
    eq(artifacts.kind, kind),
    inArray(artifacts.id, [...ids]),
  )
  const [found] = await tx.select({ n: count() }).from(artifacts).where(mine)
  if (found!.n !== new Set(ids).size)
    throw wrong(ids.join(', '), `expected stored ${kind} artifacts of run ${run.id}`)
}

/** An attempt that starts an evaluation again says all its samples again. */
async function recordEvaluation(
  { tx }: Step,
  run: Run,
  body: EventBody<'evaluation'>,
): Promise<void> {
  const order = orders(run).find(({ key }) => key === body.key)
  if (order === undefined)
    throw wrong(
      body.key,
      `expected one of ${orders(run)
        .map(({ key }) => key)
        .join(', ')}`,
    )
  const adapter = order.subject === 'ADAPTER' ? await adapterOf(tx, run) : null
  if (order.subject === 'ADAPTER' && adapter === null)
    throw wrong(body.key, 'there is no adapter yet')
  const said = { promptHash: body.promptHash, documents: body.documents, finishedAt: null }
  const [evaluation] = await tx
    .insert(evaluations)
    .values({
      ...said,
      runId: run.id,
      key: body.key,
      baseModelId: run.baseModelId,
      adapterId: adapter?.id ?? null,
      task: order.settings.task,
      settings: order.settings,
      settingsHash: settingsHash(order.settings),
    })
    .onConflictDoUpdate({ target: [evaluations.runId, evaluations.key], set: said })
    .returning({ id: evaluations.id })
  await tx.delete(samples).where(eq(samples.evaluationId, evaluation!.id))
  await tx.delete(scores).where(eq(scores.evaluationId, evaluation!.id))
}

async function recordSamples({ tx }: Step, run: Run, body: EventBody<'samples'>): Promise<void> {
  const evaluation = await openEvaluation(tx, run, body.key)
  // The last one counts where a document is named twice: one statement may not touch a row twice.
  const rows = new Map(
    body.samples.map((sample) => [sample.document, { evaluationId: evaluation.id, ...sample }]),
  )
  if (rows.size === 0) return
  const names = [
    'hash',
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

async function openEvaluation(tx: Db, run: Run, key: string) {
  const [evaluation] = await tx
    .select()
    .from(evaluations)
    .where(and(eq(evaluations.runId, run.id), eq(evaluations.key, key)))
  if (evaluation === undefined) throw wrong(key, 'no evaluation of this key has begun')
  if (evaluation.finishedAt !== null) throw wrong(key, 'this evaluation is finished')
  return evaluation
}
