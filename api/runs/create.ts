/** Starting a run: input is validated, everything it names is pinned by content, and the row is the job. */
import { randomUUID } from 'node:crypto'
import { and, count, eq } from 'drizzle-orm'
import {
  scoreDtype,
  type EvaluateSpec,
  type EvaluationSettings,
  type GateClause,
  type Linear,
  type LoraSpec,
  type RunSpec,
  type ScoreDtype,
  type TaskRef,
  type TrainSpec,
} from '#schema/spec.ts'
import { baseModels, datasets, runs } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { queueTopic, ring } from '../bell.ts'
import { canonical, sha256 } from '../canonical.ts'
import type { Actor, Context } from '../context.ts'
import type { Db } from '../database.ts'
import type { Config } from '../env.ts'
import { judge, unmeasured } from '../evaluation/judge.ts'
import { Conflict, InvalidInput, LimitExceeded, NotFound, type Issue } from '../problem.ts'
import { append } from './events.ts'
import {
  parseEvaluateInput,
  parseTrainInput,
  type EvaluateInput,
  type SuiteInput,
  type TrainingTasks,
  type TrainInput,
} from './input.ts'
import { pinFile, pinModel, type PinnedFile, type PinnedModel } from './pin.ts'
import { pinDataset, pinRows } from './rows.ts'
import type { Run } from './run.ts'
import { checkSequential } from './sequential.ts'
import { wantedTasks, type Wanted } from './suites.ts'

export type { EvaluateInput, TrainInput } from './input.ts'

/**
 * Trains an adapter and, with `evaluate`, scores base and adapter. The same idempotency key with the same input is the run
 * that exists, with other input a Conflict. InvalidInput names every wrong field by its path.
 */
export async function createTraining(ctx: Context, actor: Actor, input: TrainInput): Promise<Run> {
  const parsed = parseTrainInput(input)
  const asked = request('TRAIN', parsed)
  const before = await findByKey(ctx.db, actor, asked)
  if (before !== null) return before
  const { config } = ctx
  const wanted = wantedTasks(parsed.evaluate ?? {}, ['evaluate'])
  const { gate } = parsed.evaluate ?? {}
  checkGate(gate, wanted, ['evaluate', 'gate'])
  const parent = parsed.adapterId === undefined ? null : await findAdapter(ctx.db, parsed.adapterId)
  const lora = parent === null ? parsed.lora : continued(parent, input.lora ?? {}, parsed.lora)
  const [model, dataset, evaluate] = await together([
    pinModel(config, parsed.model.path, ['model', 'path']),
    pinFile(config, parsed.dataset.path, ['dataset', 'path']),
    pinTasks(config, wanted, parsed),
  ])
  if (parent !== null) expectBase(parent, model, ['model', 'path'])
  const spec: TrainSpec = {
    kind: 'TRAIN',
    model: { path: model.path, revision: model.revision },
    adapter: parent === null ? null : { id: parent.id, sha256: parent.sha256 },
    quantization: parsed.quantization,
    dataset: { ...parsed.dataset, path: dataset.path, sha256: dataset.sha256 },
    recipe: parsed.recipe,
    lora,
    engine: parsed.engine,
    evaluate,
    ...benchmarksOf(parsed.evaluate, evaluate),
    ...suitesOf(parsed.evaluate),
    ...(gate === undefined ? {} : { gate }),
  }
  return ctx.db.transaction(async (tx) =>
    insertRun(ctx, tx, actor, {
      ...asked,
      spec,
      name: parsed.name ?? `${model.name} on ${dataset.name}`,
      baseModelId: await keepModel(tx, model),
      datasetId: await keepDataset(tx, dataset),
      adapterId: parent?.id ?? null,
      priority: parsed.priority,
      maxAttempts: parsed.maxAttempts ?? config.maxAttempts,
    }),
  )
}

/**
 * Scores a base model, or an adapter on the base model that it was trained on. Idempotency as in `createTraining`. Of several shards
 * the answer is the first, the lead, which has the evaluations.
 */
export async function createEvaluation(
  ctx: Context,
  actor: Actor,
  input: EvaluateInput,
): Promise<Run> {
  const parsed = parseEvaluateInput(input)
  const asked = request('EVALUATE', parsed)
  const before = await findByKey(ctx.db, actor, asked)
  if (before !== null) return before
  const wanted = wantedTasks(parsed, [])
  const { gate } = parsed
  checkGate(gate, wanted, ['gate'])
  const adapter =
    parsed.adapterId === undefined ? null : await findAdapter(ctx.db, parsed.adapterId)
  const at = parsed.model === undefined ? ['adapterId'] : ['model', 'path']
  const [model, evaluate] = await together([
    pinModel(ctx.config, parsed.model?.path ?? adapter!.baseModel.path, at),
    pinTasks(ctx.config, wanted, parsed),
  ])
  if (adapter !== null) expectBase(adapter, model, at)
  const spec: EvaluateSpec = {
    kind: 'EVALUATE',
    model: { path: model.path, revision: model.revision },
    quantization: parsed.quantization,
    adapter: adapter === null ? null : { id: adapter.id, sha256: adapter.sha256 },
    engine: parsed.engine,
    evaluate,
    ...suitesOf(parsed),
    ...(gate === undefined ? {} : { gate }),
    shard: null,
  }
  const names = [
    ...(parsed.suites ?? []).map(({ suite }) => suite),
    ...(parsed.tasks ?? []).map(({ task }) => task),
    ...(parsed.custom ?? []).map(({ name }) => name),
  ]
  const name = parsed.name ?? `${adapter?.name ?? model.name}: ${names.join(', ')}`
  const { shards: count, priority, maxAttempts = ctx.config.maxAttempts } = parsed
  return ctx.db.transaction(async (tx) => {
    const baseModelId = await keepModel(tx, model)
    const wanted = { ...asked, baseModelId, adapterId: adapter?.id ?? null, priority, maxAttempts }
    if (count === 1) return insertRun(ctx, tx, actor, { ...wanted, name, spec })
    const shardOf = (index: number) => ({
      spec: { ...spec, shard: { index, count } },
      name: `${name} (${index + 1} of ${count})`,
    })
    const id = randomUUID()
    const lead = await insertRun(ctx, tx, actor, { ...wanted, ...shardOf(0), id, leadId: id })
    for (let index = 1; index < count; index++) {
      const idempotencyKey = `${asked.idempotencyKey} (${index + 1} of ${count})`
      const inputHash = sha256(canonical({ shardOf: asked.inputHash, index }))
      const own = { ...shardOf(index), idempotencyKey, inputHash, leadId: lead.id }
      await insertRun(ctx, tx, actor, { ...wanted, ...own })
    }
    return lead
  })
}

/** What makes a request the same request: `inputHash` is the sha256 of its canonical input without the key. */
export type Asked = {
  readonly kind: Run['kind']
  readonly idempotencyKey: string
  readonly inputHash: string
}

function request(kind: Run['kind'], input: { readonly idempotencyKey: string }): Asked {
  const { idempotencyKey, ...rest } = input
  return { kind, idempotencyKey, inputHash: sha256(canonical({ kind, ...rest })) }
}

/** The run that this key has already started; Conflict if it was for something else. */
export async function findByKey(
  db: Db,
  { accountId }: Actor,
  { idempotencyKey, inputHash }: Asked,
): Promise<Run | null> {
  const mine = and(eq(runs.accountId, accountId), eq(runs.idempotencyKey, idempotencyKey))
  const [run] = await db.select().from(runs).where(mine)
  if (run === undefined) return null
  if (run.inputHash === inputHash) return run
  throw new Conflict(
    `idempotency key "${idempotencyKey}" was used for run ${run.id} with other input; use a new key`,
  )
}

/** A run before it has a row: its spec is pinned, and what it names has rows. */
export type NewRun = Asked & {
  readonly spec: RunSpec
  readonly name: string
  readonly baseModelId: string
  readonly datasetId?: string | null
  readonly adapterId?: string | null
  readonly retryOf?: string
  readonly id?: string
  readonly leadId?: string | null
  readonly priority: number
  readonly maxAttempts: number
}

/** The row, its first event and the dispatchers' bell, in the caller's transaction. */
export async function insertRun(
  ctx: Pick<Context, 'config'>,
  tx: Db,
  actor: Actor,
  wanted: NewRun,
): Promise<Run> {
  const [waiting] = await tx.select({ runs: count() }).from(runs).where(eq(runs.status, 'QUEUED'))
  const { queuedRuns } = ctx.config.limits
  if (waiting!.runs >= queuedRuns)
    throw new LimitExceeded(`${waiting!.runs} runs are waiting; at most ${queuedRuns} may`)
  const [run] = await tx
    .insert(runs)
    .values({ accountId: actor.accountId, ...wanted })
    .onConflictDoNothing({ target: [runs.accountId, runs.idempotencyKey] })
    .returning()
  if (run === undefined) return (await findByKey(tx, actor, wanted))!
  await append(tx, run, [
    { source: 'API', type: 'status', body: { from: null, to: 'QUEUED', attempt: 0 } },
  ])
  await tx.execute(ring(queueTopic))
  return run
}

/** A rule about what the run does not measure would never be decided. */
function checkGate(
  clause: GateClause | undefined,
  wanted: readonly Wanted[],
  at: readonly string[],
): void {
  if (clause === undefined) return
  try {
    judge(unmeasured(wanted), clause)
    checkSequential(clause, wanted)
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error
    throw new InvalidInput(
      error.issues.map(({ path, message }) => ({ path: [...at, ...path], message })),
    )
  }
}

const suitesOf = (asked: { readonly suites?: readonly SuiteInput[] | undefined } | undefined) =>
  asked?.suites === undefined ? {} : { suites: asked.suites.map(({ suite }) => suite) }

/** Documents of each task that are scored during training unless asked otherwise. */
const curveLimit = 100

/** `pinned` begins with the tasks that were named one by one. */
function benchmarksOf(
  asked: TrainingTasks | undefined,
  pinned: readonly TaskRef[],
): Pick<TrainSpec, 'benchmarks'> {
  if (asked?.every === undefined) return {}
  const { every, limit = curveLimit, tasks: named = [] } = asked
  const shortened = pinned.slice(0, named.length).map(({ settings, ...files }) => ({
    ...files,
    settings: { ...settings, limit: Math.min(limit, settings.limit ?? limit) },
  }))
  return { benchmarks: { every, tasks: shortened } }
}

/** Tasks with their rows by content. InvalidInput where rows or examples are nowhere. */
export async function pinTasks(
  config: Config,
  wanted: readonly Wanted[],
  { quantization, engine }: Pick<TrainSpec, 'quantization' | 'engine'>,
): Promise<TaskRef[]> {
  const dtype = scoreDtype(quantization, engine.compute)
  const pinned = await together(wanted.map((task) => pinTask(config, task, dtype)))
  const rowsOf = (task: string) => pinned.find(({ settings }) => settings.task === task)
  const issues = wanted.flatMap(({ task, notRowsOf, at }, i) => {
    const other = notRowsOf === undefined ? undefined : rowsOf(notRowsOf)
    const { settings, rows } = pinned[i]!
    if (other?.settings.rowsSha256 !== settings.rowsSha256) return []
    const message = `${task}: expected rows of its own, ${rows} has those of ${notRowsOf}`
    return [{ path: [...at], message }]
  })
  if (issues.length > 0) throw new InvalidInput(issues)
  return pinned
}

/** A task as its settings say it: what makes no difference has one value, so that equal questions have equal settings. */
async function pinTask(config: Config, wanted: Wanted, dtype: ScoreDtype): Promise<TaskRef> {
  const { task, dialect, chatTemplate, systemInstruction = null, at } = wanted
  const { custom } = wanted
  const entry = custom === undefined ? tasks.get(task)! : unlisted
  const fewShot = wanted.fewShot ?? (dialect === 'NOUS' ? 0 : entry.fewShot)
  const pin = async (given: string | undefined, own: string, name: string) => {
    const where = [...at, name]
    return given === undefined
      ? await pinRows(config, own, where)
      : await pinFile(config, given, where)
  }
  const examplesFile = wanted.examples ?? entry.examples
  if (fewShot > 0 && examplesFile === null) {
    const message = `expected 0, or a file of solved examples as examples: ${task} has none of its own; got ${fewShot}`
    throw new InvalidInput([{ path: [...at, 'fewShot'], message }])
  }
  const [rows, examples] = await together([
    wanted.dataset === undefined
      ? pin(wanted.rows, tasks.get(wanted.rowsOf ?? task)?.rows ?? entry.rows, 'rows')
      : pinDataset(config, wanted.dataset, [...at, 'dataset']),
    fewShot === 0 ? Promise.resolve(null) : pin(wanted.examples, entry.examples!, 'examples'),
  ])
  const settings: EvaluationSettings = {
    task,
    version: entry.version,
    limit: wanted.limit ?? null,
    rowsSha256: rows.sha256,
    fewShot,
    fewShotSeed: (fewShot > 0 && dialect !== 'NOUS' ? wanted.fewShotSeed : null) ?? defaultSeed,
    examplesSha256: examples?.sha256 ?? null,
    chatTemplate,
    fewShotAsMultiturn: chatTemplate && fewShot > 0 && wanted.fewShotAsMultiturn !== false,
    systemInstruction,
    bos: wanted.bos ?? (dialect === 'NOUS' ? 'NEVER' : 'TOKENIZER'),
    dialect,
    dtype,
    ...(custom === undefined ? {} : { custom }),
  }
  return { settings, rows: rows.path, examples: examples?.path ?? null }
}

/** What stands for the catalogue's entry of a task that a run declares. */
const unlisted = { version: 1, fewShot: 0, examples: null, rows: '' } as const

/** lm-evaluation-harness's own. */
const defaultSeed = 1234

/** The same weights at another place are the same model; where they were seen last is where the next run looks. */
export async function keepModel(
  tx: Db,
  { path, name, revision, family, parameters, dtype }: PinnedModel,
): Promise<string> {
  const [row] = await tx
    .insert(baseModels)
    .values({ path, name, revision, family, parameters, dtype })
    .onConflictDoUpdate({ target: baseModels.revision, set: { path } })
    .returning({ id: baseModels.id })
  return row!.id
}

async function keepDataset(tx: Db, { path, name, sha256, bytes }: PinnedFile): Promise<string> {
  const [row] = await tx
    .insert(datasets)
    .values({ path, name, sha256, bytes })
    .onConflictDoUpdate({ target: datasets.sha256, set: { path } })
    .returning({ id: datasets.id })
  return row!.id
}

type FoundAdapter = Awaited<ReturnType<typeof findAdapter>>

/** With its base model and its run; NotFound where there is none. */
export async function findAdapter(db: Db, id: string) {
  const adapter = await db.query.adapters.findFirst({
    where: { id },
    with: { baseModel: true, run: true },
  })
  if (adapter === undefined) throw new NotFound(`no adapter ${id}`)
  return { ...adapter, baseModel: adapter.baseModel! }
}

function expectBase({ baseModel }: FoundAdapter, model: PinnedModel, path: string[]): void {
  if (model.revision === baseModel.revision) return
  const message = `expected the adapter's base model ${baseModel.revision}, got ${model.revision} at ${model.path}`
  throw new InvalidInput([{ path, message }])
}

/**
 * The LoRA of a training that goes on from an adapter: the adapter's own, but for dropout, which leaves no trace in it. InvalidInput
 * where something else was asked for.
 */
function continued(
  adapter: FoundAdapter,
  asked: NonNullable<TrainInput['lora']>,
  { dropout, ...wanted }: LoraSpec,
): LoraSpec {
  const { id } = adapter
  const own = loraOf(adapter)
  const said = (value: unknown) => JSON.stringify(Array.isArray(value) ? value.toSorted() : value)
  const names = Object.keys(wanted) as (keyof typeof wanted)[]
  const issues = names
    .filter((name) => asked[name] != null && said(wanted[name]) !== said(own[name]))
    .map((name) => ({
      path: ['lora', name],
      message: `expected ${said(own[name])}, which adapter ${id} has, or nothing; got ${said(wanted[name])}`,
    }))
  if (issues.length > 0) throw new InvalidInput(issues)
  return { ...own, dropout }
}

/** Of a training's spec, or as an import says it. */
function loraOf({
  id,
  run,
  r,
  alpha,
  rslora,
  targetModules,
}: FoundAdapter): Omit<LoraSpec, 'dropout'> {
  if (run === null) return { r, alpha, rslora: rslora!, targetModules: targetModules as Linear[] }
  if (run.spec.kind !== 'TRAIN') throw new Error(`internal: adapter ${id} was not trained`)
  const { dropout: _, ...own } = run.spec.lora
  return own
}

/** All of them, or one InvalidInput with the issues of all. */
export async function together<T extends readonly unknown[]>(promises: {
  [K in keyof T]: Promise<T[K]>
}): Promise<T> {
  const settled = await Promise.allSettled(promises as readonly Promise<unknown>[])
  const failed = settled
    .filter((result) => result.status === 'rejected')
    .map(({ reason }) => reason as unknown)
  const other = failed.find((reason) => !(reason instanceof InvalidInput))
  if (other !== undefined) throw other
  const issues: Issue[] = (failed as InvalidInput[]).flatMap((problem) => [...problem.issues])
  if (issues.length > 0) throw new InvalidInput(issues)
  return settled.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T
}
