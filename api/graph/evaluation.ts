/** Evaluations: scores of one subject on one task, down to each sample. */
import type { samples } from '#schema/tables.ts'
import { metricOf } from '../evaluation/value.ts'
import { builder } from './builder.ts'
import { uuidOf } from './id.ts'
import { pageCost } from './page.ts'
import { Goal } from './recipe.ts'
import { SettingsType } from './task.ts'

const member = { member: true }

builder.drizzleObject('scores', {
  name: 'Score',
  description: 'One metric over all samples.',
  authScopes: member,
  fields: (t) => ({
    metric: t.exposeString('metric', {
      description: 'What was measured, such as acc or acc_norm.',
    }),
    n: t.exposeInt('n', { description: 'Over how many samples.' }),
    value: t.exposeFloat('value', {
      description: 'The mean of an accuracy, the perplexity of log-likelihoods.',
    }),
    goal: t.field({
      type: Goal,
      description: 'Which way is better.',
      resolve: ({ metric }) => metricOf(metric).goal,
    }),
    cleanN: t.exposeInt('cleanN', {
      nullable: true,
      description:
        'How many samples share no words with what the adapter was trained on; null where nobody looked, or none is left.',
    }),
    cleanValue: t.exposeFloat('cleanValue', {
      nullable: true,
      description: 'The value over those samples.',
    }),
    cleanStandardError: t.exposeFloat('cleanStandardError', {
      nullable: true,
      description: 'Its standard error.',
    }),
    standardError: t.exposeFloat('standardError', {
      nullable: true,
      description:
        "As lm-evaluation-harness computes it: of a mean, or by the bootstrap; null for a single sample, and where it says 'N/A'.",
    }),
  }),
})

type Sample = typeof samples.$inferSelect

const Choice = builder.objectRef<Sample['choices'][number]>('Choice').implement({
  description: 'How likely the model found one answer.',
  authScopes: member,
  fields: (t) => ({
    logLikelihood: t.exposeFloat('logLikelihood', {
      nullable: true,
      description: "Sum of its tokens' log-likelihoods in nats; null where it was not finite.",
    }),
    tokens: t.exposeInt('tokens', { description: 'How many tokens it has.' }),
    greedy: t.exposeBoolean('greedy', {
      nullable: true,
      description:
        'Whether each of its tokens was the likeliest; null where the task does not ask.',
    }),
  }),
})

const ContaminatedBy = builder
  .objectRef<NonNullable<Sample['contaminatedBy']>>('ContaminatedBy')
  .implement({
    description: 'A row of a dataset that a model was trained on.',
    authScopes: member,
    fields: (t) => ({
      dataset: t.exposeString('dataset', { description: "The sha256 of the dataset's file." }),
      row: t.exposeInt('row', { description: 'The row, from 0.' }),
    }),
  })

const SampleScore = builder
  .objectRef<{ metric: string; value: number | null; weight: number }>('SampleScore')
  .implement({
    description: 'One metric of one sample.',
    authScopes: member,
    fields: (t) => ({
      metric: t.exposeString('metric', { description: 'What was measured.' }),
      value: t.exposeFloat('value', {
        nullable: true,
        description:
          '1 for right and 0 for wrong, where it is an accuracy; a log-likelihood, where it is a perplexity.',
      }),
      weight: t.exposeFloat('weight', {
        description:
          'What it counts for in the quotient of sums: 1, or so many words, bytes or instructions.',
      }),
    }),
  })

builder.drizzleObject('samples', {
  name: 'Sample',
  description: 'One question, and what the model made of it.',
  authScopes: member,
  fields: (t) => ({
    document: t.exposeInt('document', { description: "The row of the task's file, from 0." }),
    hash: t.exposeString('hash', {
      description: 'Hash of the rendered requests: samples are paired only where it agrees.',
    }),
    question: t.exposeString('question', { description: 'The beginning of the question.' }),
    answers: t.exposeStringList('answers', { description: 'The beginnings of the answers.' }),
    gold: t.exposeInt('gold', {
      nullable: true,
      description:
        'Which answer is right, from 0: the first, if there are several; null where there is no choice.',
    }),
    picked: t.exposeInt('picked', {
      nullable: true,
      description: 'Which answer the model found likeliest, from 0.',
    }),
    response: t.exposeString('response', {
      nullable: true,
      description: 'The beginning of what the model wrote; null where it chose.',
    }),
    contamination: t.exposeFloat('contamination', {
      nullable: true,
      description:
        'The part of its words (question and right answer) that lie in runs of 8 to 13 words which a row of the training has too; null where nobody looked.',
    }),
    contaminatedBy: t.expose('contaminatedBy', {
      type: ContaminatedBy,
      nullable: true,
      description: 'The first such row; null where there is none.',
    }),
    choices: t.expose('choices', { type: [Choice], description: 'How likely each answer was.' }),
    scores: t.field({
      type: [SampleScore],
      description: 'What it counts for.',
      resolve: ({ scores, weights }) =>
        Object.entries(scores).map(([metric, value]) => ({
          metric,
          value,
          weight: weights?.[metric] ?? 1,
        })),
    }),
  }),
})

export const EvaluationType = builder.drizzleNode('evaluations', {
  name: 'Evaluation',
  description:
    'One subject, a base model or an adapter on it, on one task under one set of settings.',
  id: { column: (evaluation) => evaluation.id, description: 'Evaluation:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    run: t.relation('run', { description: 'The run that scored it.' }),
    model: t.relation('baseModel', { description: 'The base model.' }),
    adapter: t.relation('adapter', {
      nullable: true,
      description: 'The adapter; null for the base model itself.',
    }),
    task: t.exposeString('task', { description: "The task's name." }),
    settings: t.expose('settings', {
      type: SettingsType,
      description: 'What other scores have to agree on to be comparable.',
    }),
    settingsHash: t.exposeString('settingsHash', { description: 'Hash of the settings.' }),
    promptHash: t.exposeString('promptHash', { description: 'Hash of all rendered prompts.' }),
    documents: t.exposeInt('documents', { description: 'How many rows are scored.' }),
    contaminated: t.exposeInt('contaminated', {
      nullable: true,
      description:
        'How many of them share words with what the adapter was trained on; null where nobody looked.',
    }),
    stoppedEarly: t.exposeBoolean('stoppedEarly', {
      description:
        'Whether a sequential gate had enough before all rows were scored; it has no scores then.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When scoring began.' }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last sample came; null until then.',
    }),
    scores: t.relation('scores', {
      description: 'The means, once all samples are there.',
      query: { orderBy: { metric: 'asc' } },
    }),
    samples: t.relatedConnection('samples', {
      description: 'Every sample, in the order of the rows.',
      complexity: pageCost,
      query: { orderBy: { document: 'asc' } },
    }),
  }),
})

builder.queryFields((t) => ({
  evaluation: t.drizzleField({
    type: EvaluationType,
    nullable: true,
    authScopes: member,
    description: 'An evaluation by its id.',
    args: { id: t.arg.id({ required: true, description: "The evaluation's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Evaluation', String(id))
      return uuid === null ? null : db.query.evaluations.findFirst(query({ where: { id: uuid } }))
    },
  }),
  evaluations: t.drizzleConnection({
    type: 'evaluations',
    authScopes: member,
    complexity: pageCost,
    description: 'Every evaluation, newest first.',
    args: { task: t.arg.string({ description: 'Only of this task.' }) },
    resolve: (query, _root, { task }, { db }) =>
      db.query.evaluations.findMany(
        query({
          ...(task == null ? {} : { where: { task } }),
          orderBy: { createdAt: 'desc', id: 'desc' },
        }),
      ),
  }),
}))
