/** The leaderboard: the one thing that needs no key. Its rows say names; what they link to is shown to the team only. */
import { metrics } from '#schema/metrics.ts'
import type { Difference } from '../evaluation/difference.ts'
import { standings, type Board, type Standing } from '../evaluation/standings.ts'
import { suiteBoards, type SuiteBoard, type SuiteStanding } from '../evaluation/suiteBoards.ts'
import type { GroupResult } from '../evaluation/suiteResult.ts'
import { AdapterType } from './adapter.ts'
import { builder } from './builder.ts'
import { ComparisonType } from './comparison.ts'
import { EvaluationType } from './evaluation.ts'
import { ModelType } from './model.ts'
import { Goal } from './recipe.ts'
import { SettingsType } from './task.ts'

const linked = {
  authScopes: { member: true },
  unauthorizedResolver: () => null,
  nullable: true,
} as const

const DifferenceType = builder.objectRef<Difference>('Difference').implement({
  description: 'A paired difference between a row and its own base model.',
  fields: (t) => ({
    n: t.exposeInt('n', { description: 'How many samples both were scored on.' }),
    difference: t.exposeFloat('difference', {
      description:
        "The row's mean minus the base model's; of perplexities, the difference of the log-likelihood per unit. Above 0 is better.",
    }),
    low: t.exposeFloat('low', { description: 'The lower end of its interval.' }),
    high: t.exposeFloat('high', { description: 'The upper end of its interval.' }),
    level: t.exposeFloat('level', { description: "The interval's confidence level." }),
    pValue: t.exposeFloat('pValue', {
      description: 'Of the exact two-sided McNemar test, or the sign test.',
    }),
    gained: t.exposeInt('gained', { description: 'Samples that the row scored higher.' }),
    lost: t.exposeInt('lost', { description: 'Samples that the base model scored higher.' }),
  }),
})

const StandingType = builder.objectRef<Standing>('Standing').implement({
  description: 'One row of a board.',
  fields: (t) => ({
    rank: t.exposeInt('rank', {
      description:
        'Rows that cannot be told apart from the leader of their group share its rank: 1, 1, 3.',
    }),
    name: t.string({
      description: "The adapter's name, or the base model's where there is no adapter.",
      resolve: ({ adapter, baseModel }) => (adapter ?? baseModel).name,
    }),
    modelName: t.string({
      description: "The base model's name.",
      resolve: ({ baseModel }) => baseModel.name,
    }),
    n: t.exposeInt('n', { description: 'How many samples were scored.' }),
    value: t.exposeFloat('value', { description: "The value of the board's metric." }),
    standardError: t.exposeFloat('standardError', {
      nullable: true,
      description: "The value's standard error; null for a single sample or where it has none.",
    }),
    cleanN: t.int({
      nullable: true,
      description:
        'How many samples share no words with what the adapter was trained on; null where nobody looked, or none is left.',
      resolve: ({ clean }) => clean?.n,
    }),
    cleanValue: t.float({
      nullable: true,
      description: 'The value over those samples.',
      resolve: ({ clean }) => clean?.value,
    }),
    low: t.float({
      nullable: true,
      description: "The lower end of the value's own interval; null without a standard error.",
      resolve: ({ interval }) => interval?.low,
    }),
    high: t.float({
      nullable: true,
      description: "The upper end of the value's own interval; null without a standard error.",
      resolve: ({ interval }) => interval?.high,
    }),
    toBase: t.expose('toBase', {
      type: DifferenceType,
      nullable: true,
      description:
        'Against its own base model; null for a base model, or where that is not on this board.',
    }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', description: 'When it was scored.' }),
    model: t.drizzleField({
      ...linked,
      type: ModelType,
      description: 'The base model; null without a key.',
      resolve: (query, { baseModel: { id } }, _args, { db }) =>
        db.query.baseModels.findFirst(query({ where: { id } })),
    }),
    adapter: t.drizzleField({
      ...linked,
      type: AdapterType,
      description: 'The adapter; null for a base model, or without a key.',
      resolve: (query, { adapter }, _args, { db }) =>
        adapter === null ? null : db.query.adapters.findFirst(query({ where: { id: adapter.id } })),
    }),
    evaluation: t.drizzleField({
      ...linked,
      type: EvaluationType,
      description: 'The scores behind the row; null without a key.',
      resolve: (query, { evaluationId: id }, _args, { db }) =>
        db.query.evaluations.findFirst(query({ where: { id } })),
    }),
    comparison: t.drizzleField({
      ...linked,
      type: ComparisonType,
      description:
        "The comparison of the adapter's training run; null where there is none, or without a key.",
      resolve: (query, { comparisonId: id }, _args, { db }) =>
        id === null ? null : db.query.comparisons.findFirst(query({ where: { id } })),
    }),
  }),
})

const BoardType = builder.objectRef<Board>('Board').implement({
  description: 'Scores that are comparable: settings and prompts are the same in every row.',
  fields: (t) => ({
    task: t.exposeString('task', { description: "The task's name." }),
    title: t.exposeString('title', { description: 'What people call the task.' }),
    metric: t.exposeString('metric', { description: 'What is ranked.' }),
    goal: t.field({
      type: Goal,
      description: 'Which way is better.',
      resolve: ({ metric }) => metrics[metric].goal,
    }),
    settings: t.expose('settings', { type: SettingsType, description: 'What all rows agree on.' }),
    settingsHash: t.exposeString('settingsHash', {
      description: 'Hash of the settings: it names the board.',
    }),
    promptHash: t.exposeString('promptHash', { description: 'Hash of all rendered prompts.' }),
    rows: t.field({
      type: [StandingType],
      description: 'Best first.',
      resolve: ({ rows }) => [...rows],
    }),
  }),
})

const SuitePartType = builder.objectRef<GroupResult>('SuitePart').implement({
  description: 'A part of a suite.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    percent: t.exposeFloat('percent', {
      nullable: true,
      description: 'Its average in percent, rounded to two decimals.',
    }),
  }),
})

const SuiteStandingType = builder.objectRef<SuiteStanding>('SuiteStanding').implement({
  description: "One subject's averages on a suite.",
  fields: (t) => ({
    name: t.string({
      description: "The adapter's name, or the base model's where there is no adapter.",
      resolve: ({ adapter, baseModel }) => (adapter ?? baseModel).name,
    }),
    modelName: t.string({
      description: "The base model's name.",
      resolve: ({ baseModel }) => baseModel.name,
    }),
    percent: t.float({
      nullable: true,
      description: "The suite's average in percent, rounded to two decimals.",
      resolve: ({ result }) => result.percent,
    }),
    standardError: t.float({
      nullable: true,
      description: 'Of the average, as a fraction of 1.',
      resolve: ({ result }) => result.score?.standardError,
    }),
    groups: t.field({
      type: [SuitePartType],
      description: "The averages of the suite's parts.",
      resolve: ({ result }) => [...result.groups],
    }),
  }),
})

const SuiteBoardType = builder.objectRef<SuiteBoard>('SuiteBoard').implement({
  description: 'Who was scored on every task of a suite, on the same prompts.',
  fields: (t) => ({
    suite: t.exposeString('suite', { description: "The suite's name." }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    settings: t.expose('settings', {
      type: SettingsType,
      description: 'Of its first task; the others were asked alike.',
    }),
    rows: t.field({
      type: [SuiteStandingType],
      description: 'Best first.',
      resolve: ({ rows }) => [...rows],
    }),
  }),
})

builder.queryField('suiteLeaderboard', (t) =>
  t.field({
    type: [SuiteBoardType],
    description: 'The boards of suites. Needs no key.',
    args: { suite: t.arg.string({ description: "Only this suite's." }) },
    resolve: async (_root, { suite }, { db }) =>
      suiteBoards(await standings(db)).filter((board) => suite == null || board.suite === suite),
  }),
)

builder.queryField('leaderboard', (t) =>
  t.field({
    type: [BoardType],
    description: 'The boards. Needs no key.',
    args: {
      task: t.arg.string({ description: "Only this task's." }),
      settingsHash: t.arg.string({ description: 'Only the board of these settings.' }),
    },
    resolve: (_root, { task, settingsHash }, { db }) =>
      standings(db, { task: task ?? null, settingsHash: settingsHash ?? null }),
  }),
)
