/** The catalogue of benchmark tasks, and how a run asks for one. */
import { hubText } from '#schema/sources.ts'
import { EvaluationSettings } from '#schema/spec.ts'
import { tasks, type TaskDialect, type TaskEntry } from '#schema/tasks.ts'
import { builder } from './builder.ts'

const member = { member: true }

const DialectType = builder.enumType('TaskDialect', {
  description: 'Whose prompts and scoring a task reproduces.',
  values: {
    LM_EVAL: { description: 'lm-evaluation-harness as it is now.' },
    NOUS: {
      description:
        'Its fork of version 0.3.0 that the Nous suite is run with: no BOS, documents shuffled, some prompts of their own.',
    },
  } satisfies Record<TaskDialect, object>,
})

export const Bos = builder.enumType('Bos', {
  description: 'Whether the token that begins a text goes first. It never goes twice.',
  values: {
    TOKENIZER: { description: "As the model's tokenizer does it." },
    ALWAYS: { description: 'Always.' },
    NEVER: { description: 'Never.' },
  } satisfies Record<EvaluationSettings['bos'], object>,
})

const Task = builder.objectRef<TaskEntry & { readonly name: string }>('Task').implement({
  description: 'A benchmark task.',
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What evaluations call it.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    version: t.exposeInt('version', {
      description:
        'Changes whenever prompts or scoring change; scores of different versions are not compared.',
    }),
    kind: t.exposeString('kind', {
      description:
        'How a model is asked: multiple_choice, loglikelihood, loglikelihood_rolling or generate_until.',
    }),
    metrics: t.exposeStringList('metrics', { description: 'What is measured.' }),
    headline: t.exposeString('headline', { description: 'The metric of the leaderboard.' }),
    fewShot: t.exposeInt('fewShot', {
      description: 'Solved examples before each question unless asked otherwise.',
    }),
    dialects: t.expose('dialects', {
      type: [DialectType],
      description: 'The dialects in which it can be asked.',
    }),
    examples: t.exposeString('examples', {
      nullable: true,
      description: 'The file of solved examples for few-shot prompts.',
    }),
    rows: t.exposeString('rows', {
      description: 'The file its rows are looked for under the benchmark folders.',
    }),
    source: t.string({
      description: 'Where its rows come from.',
      resolve: ({ source, rows }) => source ?? hubText(rows) ?? rows,
    }),
  }),
})

builder.queryField('tasks', (t) =>
  t.field({
    type: [Task],
    authScopes: member,
    description: 'The benchmark tasks that can be asked for.',
    resolve: () => [...tasks].map(([name, entry]) => ({ name, ...entry })),
  }),
)

/** What somebody wrote himself is shown to the team only. */
const kept = {
  authScopes: member,
  unauthorizedResolver: () => null,
  nullable: true,
} as const

/** What scores have to agree on to be comparable; public, because the leaderboard shows it. */
export const SettingsType = builder.objectRef<EvaluationSettings>('EvaluationSettings').implement({
  description:
    'Everything that changes the meaning of a score: scores are comparable where all of it agrees.',
  fields: (t) => ({
    task: t.exposeString('task', { description: "The task's name." }),
    version: t.exposeInt('version', { description: "The task's version." }),
    limit: t.exposeInt('limit', {
      nullable: true,
      description: 'Only so many rows from the beginning; null for all.',
    }),
    rowsSha256: t.exposeString('rowsSha256', { description: 'Hash of the file of rows.' }),
    fewShot: t.exposeInt('fewShot', {
      description: 'How many solved examples precede each question.',
    }),
    fewShotSeed: t.exposeFloat('fewShotSeed', {
      description: 'The seed of examples that are drawn by chance.',
    }),
    examplesSha256: t.exposeString('examplesSha256', {
      nullable: true,
      description: 'Hash of the file of examples; null without examples.',
    }),
    chatTemplate: t.exposeBoolean('chatTemplate', {
      description: "Whether questions were asked in the model's chat template.",
    }),
    fewShotAsMultiturn: t.exposeBoolean('fewShotAsMultiturn', {
      description: 'Whether examples were turns of their own.',
    }),
    systemInstruction: t.exposeString('systemInstruction', {
      ...kept,
      description: 'What went before everything; null without a key.',
    }),
    bos: t.expose('bos', { type: Bos, description: 'Whether BOS went first.' }),
    dialect: t.expose('dialect', {
      type: DialectType,
      description: 'Whose prompts and scoring are reproduced.',
    }),
    custom: t.field({
      ...kept,
      type: 'JSON',
      description:
        'The declaration of a task that is not in the catalogue; null where it is, or without a key.',
      resolve: ({ custom }) => custom ?? null,
    }),
    dtype: t.exposeString('dtype', {
      description:
        'What the scores were computed in: float32 unless the run asked for a type of its card; NF4: on a base model in four bits.',
    }),
  }),
})

export const EvaluateTaskInput = builder.inputType('EvaluateTaskInput', {
  description: 'One task to be scored on.',
  fields: (t) => ({
    // Not the enum: an unknown name is then a problem like any other, with its path and the names there are.
    task: t.string({ required: true, description: 'The task, by a name that `tasks` lists.' }),
    limit: t.int({ description: 'Only so many rows from the beginning. Default: all.' }),
    rows: t.string({
      description:
        "A file of rows, inside the allowed folders. Default: the task's own, from the benchmark folders.",
    }),
    examples: t.string({
      description:
        "A file of solved examples, inside the allowed folders. Default: the task's own, from the benchmark folders.",
    }),
    fewShot: t.int({
      description:
        "Solved examples before each question, at most 100. Default: the task's own number.",
    }),
    fewShotSeed: t.float({
      description:
        'Where examples are drawn by chance: the seed; dialect NOUS has its own. Default: 1234.',
    }),
    chatTemplate: t.boolean({
      description: "Ask in the model's chat template. Default: false.",
    }),
    fewShotAsMultiturn: t.boolean({
      description:
        'Examples as turns of their own instead of one text; only with the chat template. Default: true with it.',
    }),
    systemInstruction: t.string({
      description: 'Goes before everything, or into the system message. At most 10,000 characters.',
    }),
    bos: t.field({
      type: Bos,
      description: 'Whether BOS goes first. Default: TOKENIZER, or NEVER in dialect NOUS.',
    }),
    dialect: t.field({
      type: DialectType,
      description: 'Whose prompts and scoring. Default: LM_EVAL.',
    }),
  }),
})
