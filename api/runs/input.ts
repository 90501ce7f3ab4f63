/** What a client says to start a run; defaults and limits are those of the spec. */
import { z } from 'zod'
import { customTasks } from '#schema/customTask.ts'
import {
  BenchmarksEvery,
  DatasetRef,
  Engine,
  GateClause,
  EvaluationSettings,
  LoraSpec,
  maxShards,
  Quantization,
  Recipe,
} from '#schema/spec.ts'
import { suites } from '#schema/suites.ts'
import { taskDialects, taskNames, tasks } from '#schema/tasks.ts'
import { InvalidInput } from '../problem.ts'

const { fewShot, fewShotSeed, systemInstruction, bos } = EvaluationSettings.shape

/** How questions are asked, of one task or of all of a suite. */
const asking = {
  /** First documents only. */
  limit: z.number().int().positive().max(10_000_000).optional(),
  /** By default the task's own number. */
  fewShot: fewShot.unwrap().optional(),
  fewShotSeed: fewShotSeed.unwrap().optional(),
  chatTemplate: z.boolean().default(false),
  /** By default true with a chat template, as in lm-evaluation-harness. */
  fewShotAsMultiturn: z.boolean().optional(),
  systemInstruction: systemInstruction.unwrap().unwrap().optional(),
}

function checkTurns(
  {
    chatTemplate,
    fewShotAsMultiturn,
  }: { chatTemplate: boolean; fewShotAsMultiturn?: boolean | undefined },
  ctx: z.RefinementCtx,
): void {
  if (fewShotAsMultiturn === true && !chatTemplate)
    ctx.addIssue({
      code: 'custom',
      path: ['fewShotAsMultiturn'],
      message: 'expected it with chatTemplate: true only: turns are what a template writes',
    })
}

export const TaskInput = z
  .strictObject({
    task: z
      .string()
      .refine((name) => tasks.has(name), { error: `expected one of ${taskNames.join(', ')}` }),
    ...asking,
    /** The task's rows file; by default it is looked for under the benchmark roots. */
    rows: z.string().optional(),
    /** The file of solved examples; by default the task's own. */
    examples: z.string().optional(),
    /** By default the dialect's own. */
    bos: bos.unwrap().optional(),
    dialect: z.enum(taskDialects).default('LM_EVAL'),
  })
  .superRefine((input, ctx) => {
    checkTurns(input, ctx)
    const { task, dialect } = input
    const entry = tasks.get(task)
    if (entry !== undefined && !entry.dialects.includes(dialect))
      ctx.addIssue({
        code: 'custom',
        path: ['dialect'],
        message: `expected ${entry.dialects.join(' or ')}, which ${task} has, got ${dialect}`,
      })
  })
/** A task as asked for, checked: its name is in the catalogue. */
export type TaskInput = z.infer<typeof TaskInput>

const SuiteInput = z
  .strictObject({
    suite: z.string().refine((name) => suites.has(name), {
      error: `expected one of ${[...suites.keys()].join(', ')}`,
    }),
    ...asking,
  })
  .superRefine(checkTurns)
/** A suite as asked for, checked: its name is in the catalogue. */
export type SuiteInput = z.infer<typeof SuiteInput>

const Suites = z
  .array(SuiteInput)
  .max(20)
  .refine((suites) => new Set(suites.map(({ suite }) => suite)).size === suites.length, {
    error: 'expected each suite once',
  })

const Tasks = z
  .array(TaskInput)
  .max(120)
  .refine((tasks) => new Set(tasks.map(({ task }) => task)).size === tasks.length, {
    error: 'expected each task once',
  })

/** A split of a dataset on the Hub. */
const HubRows = z.strictObject({
  id: z.string().regex(/^[\w.-]{1,96}\/[\w.-]{1,96}$/, 'expected owner/name'),
  config: z.string().min(1).max(200).nullable().default(null),
  split: z.string().min(1).max(200).default('test'),
  revision: z
    .string()
    .regex(/^[0-9a-f]{40}$/, 'expected a commit of 40 hexadecimal digits')
    .nullable()
    .default(null),
})
export type HubRows = z.infer<typeof HubRows>

/** What a task of its own adds to its declaration. */
const declared = {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}$/, 'expected a name of small letters, digits and _')
    .refine((name) => !tasks.has(name) && !suites.has(name), {
      error: 'expected a name that no task or suite has',
    }),
  ...asking,
  /** One of the two. */
  rows: z.string().optional(),
  dataset: HubRows.optional(),
  examples: z.string().optional(),
  bos: bos.unwrap().optional(),
}

const [MultipleChoice, Generate, Perplexity, Preference] = customTasks
const Declared = z
  .array(
    z
      .discriminatedUnion('kind', [
        MultipleChoice.extend(declared),
        Generate.extend(declared),
        Perplexity.extend(declared),
        Preference.extend(declared),
      ])
      .superRefine((input, ctx) => {
        checkTurns(input, ctx)
        if ((input.rows === undefined) === (input.dataset === undefined))
          ctx.addIssue({
            code: 'custom',
            path: ['rows'],
            message: 'expected rows, a path, or dataset, one of the two',
          })
      }),
  )
  .max(20)
  .refine((tasks) => new Set(tasks.map(({ name }) => name)).size === tasks.length, {
    error: 'expected each name once',
  })
/** A task as a run declares it, checked. */
export type CustomInput = z.infer<typeof Declared>[number]

/** GraphQL has one type for all kinds. */
const Custom = z.array(z.record(z.string(), z.unknown())).pipe(Declared)

const common = {
  idempotencyKey: z.string().min(1).max(200),
  name: z.string().trim().min(1).max(200).optional(),
  quantization: Quantization.default('NONE'),
  engine: Engine.strict().prefault({}),
  /** Higher runs start first. */
  priority: z.number().int().min(-1000).max(1000).default(0),
  maxAttempts: z.number().int().min(1).max(100).optional(),
}
export const ModelInput = z.strictObject({ path: z.string() })

const TrainedOn = z
  .strictObject({
    tasks: Tasks.optional(),
    suites: Suites.optional(),
    custom: Custom.optional(),
    gate: GateClause.optional(),
    /** `tasks` are scored during training too, so often. */
    every: BenchmarksEvery.optional(),
    /** First documents only, during training. */
    limit: z.number().int().positive().max(10_000).optional(),
  })
  .superRefine(({ tasks: asked = [], every, limit }, ctx) => {
    const issue = (path: (string | number)[], message: string) =>
      ctx.addIssue({ code: 'custom', path, message })
    if (every === undefined) {
      if (limit !== undefined)
        issue(['limit'], "expected it with every only; a task's own limit is beside its name")
      return
    }
    if (asked.length === 0)
      issue(['every'], 'expected tasks, which are scored during training; suites are not')
    asked.forEach(({ task }, i) => {
      if (tasks.get(task)?.kind === 'generate_until')
        issue(
          ['tasks', i, 'task'],
          `expected tasks that are scored by likelihood with every, got ${task}, whose answers are written; score it in a run of its own`,
        )
    })
  })

/** What a training is scored on, checked. */
export type TrainingTasks = z.infer<typeof TrainedOn>

const TrainSchema = z
  .strictObject({
    ...common,
    model: ModelInput,
    /** Training starts from it. */
    adapterId: z.guid({ error: 'expected an adapter id' }).optional(),
    dataset: DatasetRef.omit({ sha256: true }).strict(),
    recipe: Recipe.strict().prefault({}),
    lora: LoraSpec.strict().prefault({}),
    evaluate: TrainedOn.optional(),
  })
  .refine(({ recipe, dataset }) => recipe.keepBest === null || dataset.testSize > 0, {
    error: 'expected testSize above 0: keepBest needs held-out rows',
    path: ['dataset', 'testSize'],
  })

const EvaluateSchema = z
  .strictObject({
    ...common,
    model: ModelInput.optional(),
    adapterId: z.guid({ error: 'expected an adapter id' }).optional(),
    tasks: Tasks.optional(),
    suites: Suites.optional(),
    custom: Custom.optional(),
    /** Runs that share the documents. */
    shards: z.number().int().min(1).max(maxShards).default(1),
    /** Scores the adapter's base model too. */
    gate: GateClause.optional(),
  })
  .refine(({ gate, adapterId }) => gate === undefined || adapterId !== undefined, {
    error: 'expected an adapter: a gate holds it against its base model',
    path: ['adapterId'],
  })
  .refine(({ gate, shards }) => gate === undefined || shards === 1, {
    error: 'expected 1 with a gate: no shard sees all documents',
    path: ['shards'],
  })
  .refine(
    ({ tasks = [], suites = [], custom = [] }) => tasks.length + suites.length + custom.length > 0,
    { error: 'expected at least one task or suite', path: ['tasks'] },
  )
  .refine(({ model, adapterId }) => model !== undefined || adapterId !== undefined, {
    error: 'expected a model or an adapter',
    path: ['model'],
  })

/** A missing value may also be said by null, as GraphQL clients do. */
export type Loose<T> = T extends readonly (infer U)[]
  ? readonly Loose<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Loose<T[K]> | (undefined extends T[K] ? null : never) }
    : T

/** As a client sends it: what has a default may be absent or null. */
export type TrainInput = Loose<z.input<typeof TrainSchema>>
/** As a client sends it; a model, an adapter, or an adapter on a model that is stored elsewhere now. */
export type EvaluateInput = Loose<z.input<typeof EvaluateSchema>>

/** With defaults filled in. InvalidInput lists every wrong field by its path. */
export const parseTrainInput = (input: TrainInput) => parse(TrainSchema, input)
/** With defaults filled in. InvalidInput lists every wrong field by its path. */
export const parseEvaluateInput = (input: EvaluateInput) => parse(EvaluateSchema, input)

/** With defaults filled in. InvalidInput lists every wrong field by its path. */
export function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const given = withoutNulls(input)
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new InvalidInput(
    parsed.error.issues.map(({ path, message }) => ({
      path: path.map(String),
      message: withGot(message, at(given, path)),
    })),
  )
}

/** A limit's message says what was expected; that of a plain value gets what it was. */
function withGot(message: string, value: unknown): string {
  if (message.includes(', got ') || !['number', 'string', 'boolean'].includes(typeof value))
    return message
  return `${message}, got ${JSON.stringify(value)?.slice(0, 80)}`
}

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  )

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (value === null || typeof value !== 'object') return value
  const present = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined)
  return Object.fromEntries(present.map(([key, inner]) => [key, withoutNulls(inner)]))
}
