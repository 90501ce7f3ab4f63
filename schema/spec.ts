/**
 * Run specs: everything a run depends on, validated once and stored on the run row. Defaults are the recipe
 * "fine-tune Llama 3 with ORPO". Paths are absolute and content is pinned by hash before a spec is stored.
 */
import { z } from 'zod'
import { CustomTask } from './customTask.ts'
import { optionIssues, Schedule, ScheduleOptions } from './schedules.ts'
import { taskDialects } from './tasks.ts'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected a lower-case sha256 in hex')
const count = z.number().int().positive()

/** The linears of a decoder layer, under the names their weights have in Llama. */
export const linears = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const
export type Linear = (typeof linears)[number]

export const LoraSpec = z.object({
  r: count.max(512).default(16),
  alpha: z.number().positive().default(32),
  /** Scale the update by alpha / √r instead of alpha / r, so that a higher rank does not learn slower (Kalajdzievski 2023). */
  rslora: z.boolean().default(false),
  /**
   * The recipe states 0.05, but its trainer switches dropout off (disable_dropout), so 0 is what it really ran with. Of
   * each linear's input, in training only; the prompt is computed once, so both answers see it with the same features dropped.
   */
  dropout: z.number().min(0).lt(1).default(0),
  targetModules: z
    .array(z.enum(linears))
    .min(1)
    .default([...linears]),
})

const nllCoverages = ['PROMPT_AND_CHOSEN', 'CHOSEN'] as const
/** What the NLL term covers: prompt and chosen answer, or the chosen answer only. */
export type Nll = (typeof nllCoverages)[number]

/** The dialects of ORPO, each with what its NLL term covers; gpu-runtime/data/dialects.ts has the rest of them. */
const dialectNll = {
  ODDSMITH: 'PROMPT_AND_CHOSEN',
  TRL_1: 'PROMPT_AND_CHOSEN',
  TRL_0_8: 'PROMPT_AND_CHOSEN',
  LLAMA_FACTORY: 'CHOSEN',
} as const satisfies Record<string, Nll>
export type Dialect = keyof typeof dialectNll
export const dialectNames = Object.keys(dialectNll) as [Dialect, ...Dialect[]]

/** Dialects that cut a prompt to a length of its own; the others have no maxPromptLength. */
export const cutsPrompts: ReadonlySet<Dialect> = new Set<Dialect>(['ODDSMITH', 'TRL_0_8'])

/** What the NLL term of a recipe covers: what the recipe says, else what its dialect does. */
export const nllOf = ({ dialect, nll }: Pick<Recipe, 'dialect' | 'nll'>): Nll =>
  nll ?? dialectNll[dialect]

/** What training measures on the held-out rows, under the names that TRL logs. */
export const evaluationMetrics: readonly string[] = [
  'eval_loss',
  'eval_nll_loss',
  'eval_rewards/chosen',
  'eval_rewards/rejected',
  'eval_rewards/accuracies',
  'eval_rewards/margins',
  'eval_logps/chosen',
  'eval_logps/rejected',
  'eval_logits/chosen',
  'eval_logits/rejected',
  'eval_log_odds_ratio',
  'eval_log_odds_chosen',
]

const KeepBest = z.object({
  metric: z
    .string()
    .refine((name) => evaluationMetrics.includes(name), {
      error: `expected one of ${evaluationMetrics.join(', ')}`,
    })
    .default('eval_loss'),
  /** Which way is better; null for down with losses and up with everything else, as transformers takes it. */
  goal: z.enum(['MIN', 'MAX']).nullable().default(null),
})

/** Which way is better. */
export const goalOf = ({ metric, goal }: z.infer<typeof KeepBest>): 'MIN' | 'MAX' =>
  goal ?? (metric.endsWith('loss') ? 'MIN' : 'MAX')

const EarlyStopping = z.object({
  /** Evaluations without a gain of more than `minDelta` on the best before, after which training ends. */
  patience: count,
  minDelta: z.number().nonnegative().default(0),
})

export const Recipe = z
  .object({
    /** Whose ORPO: how rows become tokens, what is cut, what the NLL term covers and is a mean of. */
    dialect: z.enum(dialectNames).default('ODDSMITH'),
    beta: z.number().nonnegative().default(0.1),
    /** What the NLL term covers; null for what the dialect does. Only ODDSMITH leaves the choice. */
    nll: z.enum(nllCoverages).nullable().default(null),
    /** Moments in float32 or, for a quarter of the memory, in 8 bits as bitsandbytes has them. Paged is the same thing here. */
    optimizer: z.enum(['ADAMW', 'ADAMW_8BIT', 'PAGED_ADAMW_8BIT']).default('ADAMW'),
    learningRate: z.number().positive().default(8e-6),
    schedule: Schedule.default('LINEAR'),
    scheduleOptions: ScheduleOptions.prefault({}),
    warmupSteps: z.number().int().nonnegative().default(10),
    /** A part of the run; when given, it wins over warmupSteps. */
    warmupRatio: z.number().min(0).max(1).nullable().default(null),
    weightDecay: z.number().nonnegative().default(0),
    maxGradNorm: z.number().positive().default(1),
    batchSize: count.max(1024).default(2),
    accumulation: count.max(4096).default(4),
    epochs: z.number().positive().default(1),
    /** Optimizer steps; when given, it wins over epochs. */
    maxSteps: count.nullable().default(null),
    maxLength: count.min(8).default(1024),
    maxPromptLength: count.min(4).default(512),
    /** A fraction of the run (0.2: five evaluations), or 0 for none. */
    evalEvery: z.number().min(0).max(1).default(0.2),
    /** Keep the adapter of the best evaluation instead of the last step's; null for the last. */
    keepBest: KeepBest.nullable().default(null),
    /** End before the last step when `keepBest`'s metric gains nothing any more; null for never. */
    earlyStopping: EarlyStopping.nullable().default(null),
    logEvery: count.default(1),
    /** Optimizer steps between checkpoints; 0 for none but the one that an interruption writes. */
    checkpointEvery: z.number().int().nonnegative().default(50),
    seed: z.number().int().nonnegative().default(42),
  })
  .refine((r) => !cutsPrompts.has(r.dialect) || r.maxPromptLength < r.maxLength, {
    error: 'expected maxPromptLength < maxLength, so that answers keep room',
    path: ['maxPromptLength'],
  })
  .refine((r) => r.keepBest === null || r.evalEvery > 0, {
    error: 'expected evalEvery above 0: the best is found by evaluations on the held-out rows',
    path: ['keepBest'],
  })
  .refine((r) => r.earlyStopping === null || r.keepBest !== null, {
    error: 'expected keepBest, whose metric early stopping watches',
    path: ['earlyStopping'],
  })
  .superRefine((r, ctx) => {
    for (const { option, message } of optionIssues(r))
      ctx.addIssue({ code: 'custom', message, path: ['scheduleOptions', option] })
    const covers = dialectNll[r.dialect]
    if (r.dialect !== 'ODDSMITH' && r.nll !== null && r.nll !== covers)
      ctx.addIssue({
        code: 'custom',
        path: ['nll'],
        message: `expected ${covers} or nothing with dialect ${r.dialect}, got ${r.nll}; only ODDSMITH leaves the choice`,
      })
  })

/** How the matrices of the base model's layers are held: as they are stored, or in four bits (QLoRA). */
export const Quantization = z.enum(['NONE', 'NF4'])

export const ModelRef = z.object({
  /** Directory in Hugging Face layout. */
  path: z.string(),
  /** Hash over config, tokenizer and weights. */
  revision: sha256,
})

export const DatasetRef = z.object({
  path: z.string(),
  sha256,
  shuffle: z.boolean().default(true),
  limit: count.nullable().default(null),
  /** Below 1 a fraction of the rows, else a number of rows; 0 for no held-out rows. */
  testSize: z
    .number()
    .nonnegative()
    .refine((n) => n < 1 || Number.isInteger(n), {
      error: 'expected a fraction below 1 or a whole number of rows',
    })
    .default(0.01),
})

/** The precisions that scores are computed in: of the arithmetic, and NF4 before it where the base model was held in four bits. */
const scoreDtypes = [
  'FLOAT32',
  'BFLOAT16',
  'FLOAT16',
  'NF4',
  'NF4_BFLOAT16',
  'NF4_FLOAT16',
] as const
export type ScoreDtype = (typeof scoreDtypes)[number]

/**
 * What scores are computed in. Left to itself, float32 on whatever device, so that machines with and without a card share a board;
 * the types of a card only where a spec asks for them.
 */
export function scoreDtype(quantization: Quantization, compute: Engine['compute']): ScoreDtype {
  const narrow = compute === 'BFLOAT16' || compute === 'FLOAT16' ? compute : null
  if (quantization === 'NF4') return narrow ? `NF4_${narrow}` : 'NF4'
  return narrow ?? 'FLOAT32'
}

/** Everything that changes the meaning of a score. Two evaluations are comparable when these are equal. */
export const EvaluationSettings = z.object({
  task: z.string(),
  version: count,
  /** First documents only, in the dialect's order; null for all. */
  limit: count.nullable(),
  rowsSha256: sha256,
  /** Solved examples before each question. */
  fewShot: z.number().int().min(0).max(100).default(0),
  /**
   * Where examples are drawn by chance: the seed of Python's random.Random, as the harness has it. Of no effect in dialect NOUS,
   * which draws on from where its shuffle of the documents ended.
   */
  fewShotSeed: z.number().int().min(0).max(0xffffffff).default(1234),
  /** Of the file that examples come from; null without examples. */
  examplesSha256: sha256.nullable().default(null),
  /** Questions are asked in the model's chat template. */
  chatTemplate: z.boolean().default(false),
  /** Examples are turns of their own, not one text; only with the chat template. */
  fewShotAsMultiturn: z.boolean().default(false),
  systemInstruction: z.string().min(1).max(10_000).nullable().default(null),
  /** Whether BOS goes first: as the tokenizer does it, always, or never. */
  bos: z.enum(['TOKENIZER', 'ALWAYS', 'NEVER']).default('TOKENIZER'),
  dialect: z.enum(taskDialects),
  dtype: z.enum(scoreDtypes),
  /** What the task is, where it is not the catalogue's; absent where it is. */
  custom: CustomTask.optional(),
})

export const TaskRef = z.object({
  settings: EvaluationSettings,
  rows: z.string(),
  examples: z.string().nullable().default(null),
})

/** Names of the suites that were asked for, whose tasks are among those to be scored on. Absent where none were. */
const Suites = z.array(z.string()).optional()

export const Engine = z.object({
  /** AUTO: the least for which memory suffices. */
  recompute: z.enum(['AUTO', 'NONE', 'ATTENTION', 'LAYER']).default('ATTENTION'),
  /** AUTO: float32 on a CPU, bfloat16 on a card that has it, else float16. */
  compute: z.enum(['AUTO', 'FLOAT32', 'BFLOAT16', 'FLOAT16']).default('AUTO'),
  /** Tokens that one call of the engine may hold; physical batching never changes the loss. */
  tokenBudget: count.min(16).default(1024),
  /** Threads of the engine; null for the number of cores. */
  threads: count.max(256).nullable().default(null),
})

const GateRule = z.strictObject({
  kind: z.enum(['SUPERIORITY', 'NON_INFERIORITY']),
  /** On the metric's scale: of accuracies a fraction of 1. */
  margin: z.number().min(0).max(1000),
  /** One-sided. */
  alpha: z.number().gt(0).lt(0.5).default(0.05),
  /** One of these three says what the rule is about; without, the mean over all tasks. */
  task: z.string().nullable().default(null),
  tasks: z.array(z.string()).min(1).max(200).nullable().default(null),
  suite: z.string().nullable().default(null),
  /** Each task's headline where it is not said. */
  metric: z.string().nullable().default(null),
})

/** What a candidate has to show against its baseline; judged when both are scored. */
export const GateClause = z
  .strictObject({
    /** HOLM: verdicts hold for all rules at once. */
    adjust: z.enum(['NONE', 'HOLM']).default('NONE'),
    rules: z.array(GateRule).min(1).max(200),
    /** Documents come in random order, and a task ends as soon as its rule has a verdict. */
    sequential: z.boolean().optional(),
  })
  .superRefine(({ adjust, rules, sequential }, ctx) => {
    if (sequential !== true) return
    const issue = (path: (string | number)[], message: string) =>
      ctx.addIssue({ code: 'custom', path, message })
    if (adjust !== 'NONE')
      issue(
        ['adjust'],
        'expected NONE with sequential: verdicts come at different times, each by itself',
      )
    rules.forEach(({ task, tasks, suite }, i) => {
      if (task === null || tasks !== null || suite !== null)
        issue(
          ['rules', i, 'task'],
          'expected one task a rule with sequential: each task ends by itself',
        )
      else if (rules.findIndex((other) => other.task === task) < i)
        issue(
          ['rules', i, 'task'],
          `expected one rule a task with sequential, got another for ${task}`,
        )
    })
  })

const AdapterRef = z.object({ id: z.uuid(), sha256 })

/** How often: below 1 a fraction of the run (0.2: five times, and before the first step), else a number of steps. */
export const BenchmarksEvery = z
  .number()
  .positive()
  .refine((n) => n < 1 || Number.isInteger(n), {
    error: 'expected a fraction below 1 or a whole number of steps',
  })

export const TrainSpec = z.object({
  kind: z.literal('TRAIN'),
  model: ModelRef,
  /** Training goes on from this adapter, with an optimizer and a schedule of its own; null: from the base model. */
  adapter: AdapterRef.nullable().default(null),
  quantization: Quantization.default('NONE'),
  dataset: DatasetRef,
  recipe: Recipe,
  lora: LoraSpec,
  engine: Engine,
  /** Tasks on which base and adapter are scored after training. */
  evaluate: z.array(TaskRef),
  /** What the adapter is scored on between steps, each task on its first documents. Absent: nothing. */
  benchmarks: z.object({ every: BenchmarksEvery, tasks: z.array(TaskRef).min(1) }).optional(),
  suites: Suites,
  gate: GateClause.optional(),
})

/** Runs that one evaluation can be spread over. */
export const maxShards = 64

export const EvaluateSpec = z.object({
  kind: z.literal('EVALUATE'),
  model: ModelRef,
  quantization: Quantization.default('NONE'),
  /** Absent: the base model itself is scored. */
  adapter: AdapterRef.nullable(),
  engine: Engine,
  evaluate: z.array(TaskRef).min(1),
  suites: Suites,
  /** With an adapter: its base model is scored too, and the two are compared. */
  gate: GateClause.optional(),
  /** The part of the documents that this run scores; null for all. */
  shard: z
    .object({ index: z.number().int().nonnegative(), count: count.min(2).max(maxShards) })
    .refine(({ index, count }) => index < count, { error: 'expected index < count' })
    .nullable()
    .default(null),
})

/** What needs the tokenizer and no weights: the documents of one task as a model is asked them. */
export const InspectSpec = z.object({
  kind: z.literal('INSPECT'),
  model: ModelRef,
  quantization: Quantization.default('NONE'),
  engine: Engine,
  /** As an adapter of the model is asked: the two differ where the model has no chat template. */
  asAdapter: z.boolean(),
  evaluate: z.array(TaskRef).length(1),
  /** Of the documents in the order in which they are asked. */
  after: z.number().int().nonnegative(),
  first: count.max(50),
})

export const RunSpec = z.discriminatedUnion('kind', [TrainSpec, EvaluateSpec, InspectSpec])

export type GateClause = z.infer<typeof GateClause>
export type LoraSpec = z.infer<typeof LoraSpec>
export type Recipe = z.infer<typeof Recipe>
export type Quantization = z.infer<typeof Quantization>
export type DatasetRef = z.infer<typeof DatasetRef>
export type EvaluationSettings = z.infer<typeof EvaluationSettings>
export type TaskRef = z.infer<typeof TaskRef>
export type Engine = z.infer<typeof Engine>
export type TrainSpec = z.infer<typeof TrainSpec>
export type EvaluateSpec = z.infer<typeof EvaluateSpec>
export type InspectSpec = z.infer<typeof InspectSpec>
export type RunSpec = z.infer<typeof RunSpec>
