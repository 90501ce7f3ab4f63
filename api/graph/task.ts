/** The catalogue of benchmark tasks, and how a run asks for one. */
import { EvaluationSettings } from '#schema/spec.ts'
import { taskNames, tasks, type TaskEntry, type TaskName } from '#schema/tasks.ts'
import { builder } from './builder.ts'

const member = { member: true }

export const TaskNameType = builder.enumType('TaskName', {
  description: 'The benchmark tasks of this version.',
  values: Object.fromEntries(
    taskNames.map((name) => [name, { description: `${tasks[name].title}.` }]),
  ) as Record<TaskName, { description: string }>,
})

const Task = builder.objectRef<TaskEntry & { readonly name: TaskName }>('Task').implement({
  description: 'A benchmark task.',
  authScopes: member,
  fields: (t) => ({
    name: t.expose('name', { type: TaskNameType, description: 'What evaluations call it.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    version: t.exposeInt('version', {
      description:
        'Changes whenever prompts or scoring change; scores of different versions are not compared.',
    }),
    kind: t.exposeString('kind', { description: 'How it is scored: multiple_choice.' }),
    metrics: t.exposeStringList('metrics', { description: 'What is measured.' }),
    headline: t.exposeString('headline', { description: 'The metric of the leaderboard.' }),
    rows: t.exposeString('rows', {
      description: 'The file its rows are looked for under the benchmark folders.',
    }),
    source: t.exposeString('source', { description: 'Where its rows come from.' }),
  }),
})

builder.queryField('tasks', (t) =>
  t.field({
    type: [Task],
    authScopes: member,
    description: 'The benchmark tasks that can be asked for.',
    resolve: () => taskNames.map((name) => ({ name, ...tasks[name] })),
  }),
)

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
    dialect: t.exposeString('dialect', {
      description: 'Whose prompts and scoring are reproduced.',
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
  }),
})
