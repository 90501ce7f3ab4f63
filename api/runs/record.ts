/** The rows that each runtime event makes beside its own: curves, evaluations, samples, the adapter, the comparison. */
import { and, count, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import type { EventBody, RunEvent } from '#schema/protocol.ts'
import { adapters, artifacts, inspections, metrics } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { compareRun } from '../evaluation/compare.ts'
import { adapterOf, openOrders } from './job.ts'
import {
  beginEvaluation,
  endEvaluation,
  recordContamination,
  recordSamples,
  wrong,
} from './scored.ts'
import type { Run } from './run.ts'
import { recordLook } from './sequential.ts'

/** One post on its way: what it leaves to do. */
export type Step = {
  readonly tx: Db
  /** Which value left the numbers first, for people; null while all are finite. */
  nonFinite: string | null
  /** Artifacts whose rows are gone: their files follow when the transaction has committed. */
  readonly pruned: { readonly id: string; readonly runId: string | null }[]
}

type Recorders = {
  readonly [T in RunEvent['type']]?: (step: Step, run: Run, body: EventBody<T>) => Promise<unknown>
}

const recorders: Recorders = {
  started: ({ tx }, run, { resumedFromStep }) => forgetRepeated(tx, run, resumedFromStep),
  metrics: recordMetrics,
  checkpoint: recordCheckpoint,
  adapter: recordAdapter,
  evaluation: ({ tx }, run, body) => beginEvaluation(tx, run, body),
  samples: ({ tx }, run, body) => recordSamples(tx, run, body),
  contamination: ({ tx }, run, body) => recordContamination(tx, run, body),
  look: ({ tx }, run, body) => recordLook(tx, run, body),
  evaluated: ({ tx }, run, body) => endEvaluation(tx, run, body),
  inspected: async ({ tx }, run, { preview }) => {
    if (run.spec.kind !== 'INSPECT') throw wrong(run.id, 'only an inspection finds something')
    const set = { preview }
    await tx
      .insert(inspections)
      .values({ runId: run.id, ...set })
      .onConflictDoUpdate({ target: inspections.runId, set })
  },
  finished: async (step, run) => {
    const { tx } = step
    if (run.spec.kind === 'TRAIN' && (await adapterOf(tx, run)) === null)
      throw wrong(run.id, 'finished without an adapter')
    const open = await openOrders(tx, run)
    if (open.length > 0)
      throw wrong(run.id, `finished without ${open.map(({ key }) => key).join(', ')}`)
    await compareRun(tx, run.id)
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
