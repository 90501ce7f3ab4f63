/** Looking before computing: an INSPECT run asks a runtime what only a tokenizer can say, and what it found is kept. */
import { eq } from 'drizzle-orm'
import { z } from 'zod'
import type { Preview } from '#schema/protocol.ts'
import { Engine, InspectSpec } from '#schema/spec.ts'
import { inspections, runs } from '#schema/tables.ts'
import { canonical, sha256 } from '../canonical.ts'
import type { Actor, Context } from '../context.ts'
import { Conflict, InvalidInput } from '../problem.ts'
import { findAdapter, insertRun, keepModel, pinTasks, together } from './create.ts'
import { ModelInput, parse, TaskInput, type Loose } from './input.ts'
import { pinModel } from './pin.ts'
import { tail } from './tail.ts'

const PreviewSchema = z
  .strictObject({
    model: ModelInput.optional(),
    adapterId: z.guid({ error: 'expected an adapter id' }).optional(),
    task: TaskInput,
    after: InspectSpec.shape.after.default(0),
    first: InspectSpec.shape.first.default(3),
  })
  .refine(({ model, adapterId }) => (model === undefined) !== (adapterId === undefined), {
    error: 'expected either a model or an adapter',
    path: ['model'],
  })

export type PreviewInput = Loose<z.input<typeof PreviewSchema>>

/** Milliseconds that a preview is waited for; it goes on by itself, and the next one who asks finds it. */
const patience = 60_000

/** Before trainings and evaluations, which take long where this takes a second. */
const priority = 1000

/**
 * The documents of a task as a model, or an adapter on it, is asked them. What was looked at before is answered from the table, by
 * content. InvalidInput where the runtime finds the rows or the model at fault; Conflict where it did not answer.
 */
export async function previewTask(
  ctx: Context,
  actor: Actor,
  input: PreviewInput,
): Promise<Preview> {
  const { model: asked, adapterId, task, after, first } = parse(PreviewSchema, input)
  const adapter = adapterId === undefined ? null : await findAdapter(ctx.db, adapterId)
  const engine = Engine.parse({})
  const [model, evaluate] = await together([
    pinModel(ctx.config, asked?.path ?? adapter!.baseModel.path, ['model', 'path']),
    pinTasks(ctx.config, [{ ...task, at: ['task'] }], { quantization: 'NONE', engine }),
  ])
  const spec: InspectSpec = {
    kind: 'INSPECT',
    model: { path: model.path, revision: model.revision },
    quantization: 'NONE',
    engine,
    asAdapter: adapter !== null,
    evaluate,
    after,
    first,
  }
  const key = sha256(canonical(spec))
  const run = await ctx.db.transaction(async (tx) =>
    insertRun(ctx, tx, actor, {
      kind: 'INSPECT',
      idempotencyKey: `inspect ${key}`,
      inputHash: key,
      spec,
      name: `${model.name}: ${task.task}, preview`,
      baseModelId: await keepModel(tx, model),
      priority,
      maxAttempts: 2,
    }),
  )
  const signal = AbortSignal.timeout(patience)
  for await (const _ of tail(ctx, run.id, { after: 0, signal }));
  const [found] = await ctx.db.select().from(inspections).where(eq(inspections.runId, run.id))
  if (found !== undefined) return found.preview
  const [now] = await ctx.db.select().from(runs).where(eq(runs.id, run.id))
  const { failure } = now!
  if (failure?.code === 'INPUT')
    throw new InvalidInput([{ path: ['task'], message: failure.message }])
  throw new Conflict(
    failure === null
      ? `no answer after ${patience / 1000} s; run ${run.id} is ${now!.status}: ask again`
      : `run ${run.id} failed: ${failure.message}`,
  )
}
