/** Trying again: a new run of the same spec; of a shard, a new run of the same shard. */
import { eq } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import { canonical, sha256 } from '../canonical.ts'
import type { Actor, Context } from '../context.ts'
import { Conflict, NotFound } from '../problem.ts'
import { findByKey, insertRun, type Asked } from './create.ts'
import { modelChanged, pinFile } from './pin.ts'
import { rowRoots } from './rows.ts'
import type { Run } from './run.ts'

/** `id` is the run to repeat; the key is the new run's. */
export type RetryInput = { readonly id: string; readonly idempotencyKey: string }

/** Conflict unless the run FAILED or was CANCELED, and where its model or data have changed since. */
export async function retryRun(
  ctx: Context,
  actor: Actor,
  { id, idempotencyKey }: RetryInput,
): Promise<Run> {
  const [old] = await ctx.db.select().from(runs).where(eq(runs.id, id))
  if (old === undefined) throw new NotFound(`no run ${id}`)
  const asked: Asked = {
    kind: old.kind,
    idempotencyKey,
    inputHash: sha256(canonical({ retryOf: id })),
  }
  const before = await findByKey(ctx.db, actor, asked)
  if (before !== null) return before
  if (old.status !== 'FAILED' && old.status !== 'CANCELED') {
    throw new Conflict(`run ${id} is ${old.status}; only FAILED or CANCELED runs can be retried`)
  }
  await expectUnchanged(ctx, old)
  const { name, spec, baseModelId, datasetId, adapterId, priority } = old
  const { maxAttempts } = ctx.config
  return ctx.db.transaction((tx) =>
    insertRun(ctx, tx, actor, {
      ...asked,
      name,
      spec,
      baseModelId,
      datasetId,
      adapterId,
      priority,
      maxAttempts,
      retryOf: id,
      leadId: old.leadId,
    }),
  )
}

async function expectUnchanged({ config }: Context, { id, spec }: Run): Promise<void> {
  const changed = (path: string) =>
    new Conflict(`run ${id}: ${path} has changed since; start a new run`)
  const model = await modelChanged(config, spec.model)
  if (model !== null) throw new Conflict(`run ${id}: ${model}`)
  if (spec.kind === 'TRAIN') {
    const dataset = await pinFile(config, spec.dataset.path, ['dataset', 'path'])
    if (dataset.sha256 !== spec.dataset.sha256) throw changed(spec.dataset.path)
  }
  for (const { rows, settings } of spec.evaluate) {
    const file = await pinFile(config, rows, ['rows'], [...config.roots, ...rowRoots(config)])
    if (file.sha256 !== settings.rowsSha256) throw changed(rows)
  }
}
