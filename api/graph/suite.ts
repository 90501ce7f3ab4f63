/** Suites of tasks, how a run asks for one, and what subjects scored on it. */
import { suites, type SuiteEntry, type SuiteGroup, type Weighting } from '#schema/suites.ts'
import { findSubject } from '../evaluation/compare.ts'
import {
  suiteResult,
  type Average,
  type GroupResult,
  type SuiteResult,
  type TaskScore,
} from '../evaluation/suiteResult.ts'
import { scoresIn, type ScoredSubject } from '../evaluation/suiteScores.ts'
import { NotFound } from '../problem.ts'
import { AdapterType } from './adapter.ts'
import { builder } from './builder.ts'
import { SubjectInput, subject } from './comparison.ts'
import { ModelType } from './model.ts'

const member = { member: true }

const WeightingType = builder.enumType('Weighting', {
  description: 'How tasks weigh in a mean.',
  values: {
    EQUALLY: { description: 'Each once, whatever its size.' },
    BY_SIZE: { description: 'By their documents, as if all stood in one task.' },
  } satisfies Record<Weighting, object>,
})

const MeanOf = builder.enumType('SuiteMeanOf', {
  description: "What a suite's own average is the mean of.",
  values: {
    GROUPS: { description: "Its groups' averages, each once." },
    TASKS: { description: 'All of its tasks, as they weigh.' },
  } satisfies Record<SuiteEntry['meanOf'], object>,
})

const SuiteGroupType = builder.objectRef<SuiteGroup>('SuiteGroup').implement({
  description: 'A part of a suite that is averaged by itself.',
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    tasks: t.stringList({
      description: 'Its tasks, by name.',
      resolve: ({ members }) => members.map(({ task }) => task),
    }),
  }),
})

const Suite = builder.objectRef<SuiteEntry & { readonly name: string }>('Suite').implement({
  description: 'Tasks that are asked together, and averaged.',
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What evaluations call it.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    groups: t.expose('groups', { type: [SuiteGroupType], description: 'Its parts.' }),
    weighting: t.expose('weighting', {
      type: WeightingType,
      description: 'How tasks weigh.',
    }),
    meanOf: t.expose('meanOf', {
      type: MeanOf,
      description: 'What its own average is the mean of.',
    }),
    roundsGroups: t.exposeBoolean('roundsGroups', {
      description:
        "Whether its groups' averages are rounded to two decimals, in percent, before they are averaged.",
    }),
    corrections: t.exposeStringList('corrections', {
      description: 'What it does otherwise than the suite that it is named after.',
    }),
  }),
})

const averageFields = {
  mean: { description: 'The average, of 1; null as long as scores are missing.' },
  standardError: {
    description: 'Its standard error; null where a task has none, or scores are missing.',
  },
  percent: { description: 'As it is printed: in percent, rounded to two decimals.' },
  n: { description: 'How many samples it rests on.' },
  missing: { description: 'The tasks without a score.' },
}

const AverageInterface = builder.interfaceRef<Average>('Average').implement({
  description: 'An average over tasks.',
  authScopes: member,
  fields: (t) => ({
    mean: t.float({ ...averageFields.mean, nullable: true, resolve: ({ score }) => score?.mean }),
    standardError: t.float({
      ...averageFields.standardError,
      nullable: true,
      resolve: ({ score }) => score?.standardError,
    }),
    percent: t.exposeFloat('percent', { ...averageFields.percent, nullable: true }),
    n: t.int({ ...averageFields.n, nullable: true, resolve: ({ score }) => score?.n }),
    missing: t.exposeStringList('missing', averageFields.missing),
  }),
})

const SuiteTaskScore = builder.objectRef<TaskScore>('SuiteTaskScore').implement({
  description: 'One metric of one task of a suite.',
  authScopes: member,
  fields: (t) => ({
    task: t.exposeString('task', { description: "The task's name." }),
    version: t.exposeInt('version', { description: "The task's version." }),
    metric: t.exposeString('metric', { description: 'What was measured.' }),
    n: t.exposeInt('n', { description: 'Over how many samples.' }),
    mean: t.exposeFloat('mean', { description: 'The mean.' }),
    standardError: t.exposeFloat('standardError', {
      nullable: true,
      description: 'Its standard error; null for a single sample.',
    }),
  }),
})

const SuiteGroupResult = builder.objectRef<GroupResult>('SuiteGroupResult').implement({
  description: 'The average of a part of a suite, and what it is the average of.',
  interfaces: [AverageInterface],
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    tasks: t.expose('tasks', {
      type: [SuiteTaskScore],
      description: 'Every metric of every task that was scored.',
    }),
  }),
})

/** A suite's result and whose it is. */
type Owned = SuiteResult & ScoredSubject

export const SuiteResultType = builder.objectRef<Owned>('SuiteResult').implement({
  description: 'The averages of one subject on a suite.',
  interfaces: [AverageInterface],
  authScopes: member,
  fields: (t) => ({
    suite: t.field({
      type: Suite,
      description: 'The suite.',
      resolve: ({ suite: name }) => ({ name, ...suites.get(name)! }),
    }),
    groups: t.expose('groups', { type: [SuiteGroupResult], description: 'Its parts.' }),
    model: t.drizzleField({
      type: ModelType,
      description: 'The base model.',
      resolve: async (query, { baseModelId: id }, _args, { db }) =>
        (await db.query.baseModels.findFirst(query({ where: { id } })))!,
    }),
    adapter: t.drizzleField({
      type: AdapterType,
      nullable: true,
      description: 'The adapter; null for the base model itself.',
      resolve: (query, { adapterId: id }, _args, { db }) =>
        id === null ? null : db.query.adapters.findFirst(query({ where: { id } })),
    }),
  }),
})

builder.queryFields((t) => ({
  suites: t.field({
    type: [Suite],
    authScopes: member,
    description: 'The suites that can be asked for.',
    resolve: () => [...suites].map(([name, entry]) => ({ name, ...entry })),
  }),
  suiteResult: t.field({
    type: SuiteResultType,
    nullable: true,
    authScopes: member,
    description:
      'What a subject has scored on a suite, in whichever runs; null where there is no such suite or subject.',
    args: {
      suite: t.arg.string({ required: true, description: 'The suite, by a name of `suites`.' }),
      subject: t.arg({ type: SubjectInput, required: true, description: 'Who was scored.' }),
      limit: t.arg.int({ description: 'With this limit of rows. Default: all rows.' }),
      fewShot: t.arg.int({ description: 'With so many solved examples. Default: 0.' }),
      chatTemplate: t.arg.boolean({
        description: "Asked in the model's chat template. Default: false.",
      }),
      systemInstruction: t.arg.string({ description: 'With this before everything.' }),
      dtype: t.arg.string({
        description: "Computed in this, as in an evaluation's settings. Default: FLOAT32.",
      }),
    },
    resolve: async (_root, { suite: name, subject: given, ...asked }, { db }) => {
      const suite = suites.get(name)
      if (suite === undefined) return null
      const [chatTemplate, fewShot] = [asked.chatTemplate ?? false, asked.fewShot ?? 0]
      const found = await findSubject(db, subject(given)).catch((error: unknown) => {
        if (error instanceof NotFound) return null
        throw error
      })
      if (found === null) return null
      const scores = await scoresIn(db, found, suite, {
        limit: asked.limit ?? null,
        fewShot,
        fewShotSeed: 1234,
        chatTemplate,
        fewShotAsMultiturn: chatTemplate && fewShot > 0,
        systemInstruction: asked.systemInstruction ?? null,
        dtype: asked.dtype ?? 'FLOAT32',
      })
      return { ...found, ...suiteResult(name, scores) }
    },
  }),
}))

export const EvaluateSuiteInput = builder.inputType('EvaluateSuiteInput', {
  description: 'A suite to be scored on: all of its tasks, asked as it asks them.',
  fields: (t) => ({
    suite: t.string({ required: true, description: 'The suite, by a name that `suites` lists.' }),
    limit: t.int({ description: 'Only so many rows of each task. Default: all.' }),
    fewShot: t.int({
      description:
        "Solved examples before each question, at most 100. Default: each task's own number.",
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
  }),
})
