/** What a runtime is told to do: built from the run when the runtime asks, less what is already there. */
import { and, asc, desc, eq, inArray, isNotNull, or } from 'drizzle-orm'
import type { ArtifactRef, EvaluationOrder, Job, Subject, Training } from '#schema/protocol.ts'
import { adapters, artifacts, evaluations, evaluationShards, events, runs } from '#schema/tables.ts'
import type { Context } from '../context.ts'
import type { Db } from '../database.ts'
import { reusable } from '../evaluation/reuse.ts'
import { settingsHash } from '../evaluation/settings.ts'
import { leadOf, sequentialRule, shardOf, type Run } from './run.ts'

/** Every score that the run's spec asks for. `key` is `<subject>:<task>`. */
export function orders({ spec }: Pick<Run, 'spec'>): EvaluationOrder[] {
  if (spec.kind === 'INSPECT') return []
  const both = spec.kind === 'TRAIN' || (spec.adapter !== null && spec.gate !== undefined)
  const subjects: Subject[] = both
    ? ['BASE', 'ADAPTER']
    : [spec.adapter === null ? 'BASE' : 'ADAPTER']
  return spec.evaluate.flatMap(({ settings, rows, examples }) =>
    subjects.map((subject) => ({
      key: `${subject}:${settings.task}`,
      subject,
      settings,
      rows,
      examples,
      ...(sequentialRule(spec, settings.task) !== null && { sequential: true }),
    })),
  )
}

/** The adapter row that a run's ADAPTER orders score: made by this run, or named by its spec. */
export async function adapterOf(db: Db, run: Run): Promise<typeof adapters.$inferSelect | null> {
  if (run.spec.kind !== 'TRAIN') return namedAdapter(db, run)
  const [made] = await db.select().from(adapters).where(eq(adapters.runId, run.id))
  return made ?? null
}

/** The adapter that a run's spec names: an evaluation scores it, a training starts from it. */
export async function namedAdapter(
  db: Db,
  { adapterId }: Run,
): Promise<typeof adapters.$inferSelect | null> {
  if (adapterId === null) return null
  const [named] = await db.select().from(adapters).where(eq(adapters.id, adapterId))
  return named ?? null
}

/**
 * Orders that neither this run nor, under the same settings, another one has finished, less those that a gate has stopped. A shard looks at its own evaluations only: the
 * others must come to the same answer, and what is known costs them nothing anyway.
 */
export async function openOrders(db: Db, run: Run): Promise<EvaluationOrder[]> {
  const shard = shardOf(run)
  if (shard !== null) return openOrdersOf(db, run, shard.index)
  const adapter = await adapterOf(db, run)
  const open: EvaluationOrder[] = []
  for (const order of orders(run)) {
    const [mine] = await db
      .select({ id: evaluations.id })
      .from(evaluations)
      .where(
        and(
          eq(evaluations.runId, run.id),
          eq(evaluations.key, order.key),
          or(isNotNull(evaluations.finishedAt), eq(evaluations.stoppedEarly, true)),
        ),
      )
    if (mine !== undefined) continue
    const adapterId = order.subject === 'BASE' ? null : (adapter?.id ?? null)
    const known = order.subject === 'BASE' || adapterId !== null
    const wanted = {
      baseModelId: run.baseModelId,
      adapterId,
      settingsHash: settingsHash(order.settings),
    }
    if (known && (await reusable(db, wanted)) !== null) continue
    open.push(order)
  }
  return open
}

async function openOrdersOf(db: Db, run: Run, index: number): Promise<EvaluationOrder[]> {
  const done = await db
    .select({ key: evaluations.key })
    .from(evaluations)
    .innerJoin(evaluationShards, eq(evaluationShards.evaluationId, evaluations.id))
    .where(and(eq(evaluations.runId, leadOf(run)), eq(evaluationShards.index, index)))
  const keys = new Set(done.map(({ key }) => key))
  return orders(run).filter(({ key }) => !keys.has(key))
}

/**
 * Resumes from the newest kept checkpoint; once there is an adapter only the open evaluations remain, and its files are
 * named instead.
 */
export async function buildJob(ctx: Pick<Context, 'config' | 'db'>, run: Run): Promise<Job> {
  const { db, config } = ctx
  const adapter = await adapterOf(db, run)
  const spec = {
    ...run.spec,
    engine: { ...run.spec.engine, threads: run.spec.engine.threads ?? config.threads },
  }
  return {
    runId: run.id,
    attempt: run.attempt,
    spec,
    checkpoint: adapter === null ? await newestCheckpoint(db, run.id) : null,
    adapter: adapter === null ? [] : await adapterFiles(db, adapter),
    start: adapter === null ? await startFiles(db, run) : [],
    evaluations: await openOrders(db, run),
    trainedOn: await trainings(db, run),
    leaseSeconds: config.leaseSeconds,
  }
}

/** What the adapter that a run trains or scores has seen, its own run first; nothing is known of imported ones. */
async function trainings(db: Db, { spec, adapterId }: Run): Promise<Training[]> {
  const seen: Training[] = []
  if (spec.kind === 'TRAIN') seen.push({ dataset: spec.dataset, recipe: spec.recipe })
  for (let id = adapterId; id !== null;) {
    const [found] = await db
      .select({ parentId: adapters.parentId, spec: runs.spec })
      .from(adapters)
      .leftJoin(runs, eq(runs.id, adapters.runId))
      .where(eq(adapters.id, id))
    const { parentId, spec: made } = found!
    if (made?.kind === 'TRAIN') seen.push({ dataset: made.dataset, recipe: made.recipe })
    id = parentId
  }
  return seen
}

/** The artifact of the last checkpoint event whose file is still kept. */
async function newestCheckpoint(db: Db, runId: string): Promise<ArtifactRef | null> {
  const said = await db
    .select({ body: events.body })
    .from(events)
    .where(
      and(eq(events.runId, runId), eq(events.source, 'RUNTIME'), eq(events.type, 'checkpoint')),
    )
    .orderBy(desc(events.cursor))
    .limit(2)
  for (const { body } of said) {
    const [row] = await db
      .select()
      .from(artifacts)
      .where(eq(artifacts.id, body['artifact'] as string))
    if (row !== undefined) return toRef(row)
  }
  return null
}

/** Files of the adapter that a training starts from. */
async function startFiles(db: Db, run: Run): Promise<ArtifactRef[]> {
  const parent = run.spec.kind === 'TRAIN' ? await namedAdapter(db, run) : null
  return parent === null ? [] : adapterFiles(db, parent)
}

/** Of the run that made the adapter, or its own where it was imported; by name. */
export async function adapterFiles(
  db: Db,
  { id, runId }: Pick<typeof adapters.$inferSelect, 'id' | 'runId'>,
): Promise<ArtifactRef[]> {
  if (runId === null) {
    const own = db.select().from(artifacts).where(eq(artifacts.adapterId, id))
    return (await own.orderBy(asc(artifacts.name))).map(toRef)
  }
  const [said] = await db
    .select({ body: events.body })
    .from(events)
    .where(and(eq(events.runId, runId), eq(events.source, 'RUNTIME'), eq(events.type, 'adapter')))
    .orderBy(desc(events.cursor))
    .limit(1)
  if (said === undefined) return []
  const ids = said.body['artifacts'] as string[]
  return (
    await db.select().from(artifacts).where(inArray(artifacts.id, ids)).orderBy(asc(artifacts.name))
  ).map(toRef)
}

/** An artifact row as the protocol names it. */
export const toRef = ({
  id,
  kind,
  name,
  sha256,
  bytes,
  step,
}: typeof artifacts.$inferSelect): ArtifactRef => ({
  id,
  kind,
  name,
  sha256,
  bytes,
  step,
})
