/** Comparisons: a candidate against a baseline on shared samples. */
import { resolveOffsetConnection } from '@pothos/plugin-relay'
import { tasks } from '#schema/tasks.ts'
import { compareSubjects, type SubjectRef } from '../evaluation/compare.ts'
import { readFlips, type Direction, type Flip, type Side } from '../evaluation/flips.ts'
import { comparedSuites, type ComparedSuite } from '../evaluation/judge.ts'
import { Conflict, InvalidInput, NotFound } from '../problem.ts'
import { metricOf, valueOf } from '../evaluation/value.ts'
import { builder } from './builder.ts'
import { rowId, uuidOf } from './id.ts'
import { maxPageSize, pageCost, pageSize } from './page.ts'
import { Goal } from './recipe.ts'

const member = { member: true }

const TestType = builder.enumType('PairedTest', {
  description: 'Whether a difference is more than chance.',
  values: {
    MCNEMAR: { description: "McNemar's exact test, of samples that are right or wrong." },
    SIGN_FLIP: { description: 'The paired permutation test, of graded scores.' },
  },
})

type Clean = Readonly<
  Record<'n' | 'baseline' | 'candidate' | 'difference' | 'low' | 'high' | 'pValue', number>
>

const CleanType = builder.objectRef<Clean>('CleanDifference').implement({
  description: 'A paired difference over uncontaminated samples.',
  authScopes: member,
  fields: (t) => ({
    n: t.exposeInt('n', { description: 'How many samples.' }),
    baseline: t.exposeFloat('baseline', { description: "The baseline's value." }),
    candidate: t.exposeFloat('candidate', { description: "The candidate's value." }),
    difference: t.exposeFloat('difference', { description: 'Candidate minus baseline.' }),
    low: t.exposeFloat('low', { description: 'The lower end of its interval.' }),
    high: t.exposeFloat('high', { description: 'The upper end of its interval.' }),
    pValue: t.exposeFloat('pValue', { description: 'Two-sided.' }),
  }),
})

builder.drizzleObject('comparisonTasks', {
  name: 'ComparisonTask',
  description: 'One metric of one task, paired sample by sample.',
  authScopes: member,
  fields: (t) => ({
    task: t.exposeString('task', { description: "The task's name." }),
    metric: t.exposeString('metric', { description: 'What was measured.' }),
    n: t.exposeInt('n', { description: 'How many samples both were scored on.' }),
    leftOut: t.exposeInt('leftOut', {
      description: 'How many samples of either side could not be paired.',
    }),
    baseline: t.float({
      description: "The baseline's value over the paired samples.",
      resolve: ({ metric, baseline }) => valueOf(metric, baseline),
    }),
    candidate: t.float({
      description: "The candidate's value over the paired samples.",
      resolve: ({ metric, candidate }) => valueOf(metric, candidate),
    }),
    goal: t.field({
      type: Goal,
      description: 'Which way values are better; a difference is always better above 0.',
      resolve: ({ metric }) => metricOf(metric).goal,
    }),
    difference: t.exposeFloat('difference', {
      description:
        'Candidate minus baseline; of perplexities, the difference of the log-likelihood per unit, in nats.',
    }),
    low: t.exposeFloat('low', { description: "The lower end of the difference's interval." }),
    high: t.exposeFloat('high', { description: "The upper end of the difference's interval." }),
    level: t.exposeFloat('level', {
      description: "The interval's confidence level, such as 0.95.",
    }),
    bootstrapLow: t.exposeFloat('bootstrapLow', {
      nullable: true,
      description: 'The lower end by the paired bootstrap (BCa); null where it was not made.',
    }),
    bootstrapHigh: t.exposeFloat('bootstrapHigh', {
      nullable: true,
      description: 'The upper end by the paired bootstrap (BCa); null where it was not made.',
    }),
    test: t.expose('test', { type: TestType, description: 'What pValue is of.' }),
    pValue: t.exposeFloat('pValue', { description: 'Two-sided.' }),
    adjustedP: t.exposeFloat('adjustedP', {
      nullable: true,
      description:
        "pValue after Holm's adjustment over the headline metrics of the comparison; null for other metrics.",
    }),
    detectable: t.exposeFloat('detectable', {
      nullable: true,
      description:
        'The smallest true difference that as many samples show with a probability of 80%; null where nothing can be said of it.',
    }),
    gained: t.exposeInt('gained', {
      description: 'Samples that only the candidate got right, or that it scored higher.',
    }),
    lost: t.exposeInt('lost', {
      description: 'Samples that only the baseline got right, or that it scored higher.',
    }),
    clean: t.field({
      type: CleanType,
      nullable: true,
      description:
        'The same over the samples that share no words with what either side was trained on; null where nobody looked, or none is left.',
      resolve: ({
        metric,
        cleanN: n,
        cleanBaseline: baseline,
        cleanCandidate: candidate,
        cleanDifference: difference,
        cleanLow: low,
        cleanHigh: high,
        cleanPValue: pValue,
      }) =>
        n === null
          ? null
          : {
              n,
              baseline: valueOf(metric, baseline!),
              candidate: valueOf(metric, candidate!),
              difference: difference!,
              low: low!,
              high: high!,
              pValue: pValue!,
            },
    }),
    baselineEvaluation: t.relation('baselineEvaluation', { description: "The baseline's scores." }),
    candidateEvaluation: t.relation('candidateEvaluation', {
      description: "The candidate's scores.",
    }),
  }),
})

const ComparedSuiteType = builder.objectRef<ComparedSuite>('ComparedSuite').implement({
  description: "The difference of a suite's value, its tasks weighing as they do in the suite.",
  authScopes: member,
  fields: (t) => ({
    suite: t.exposeString('suite', { description: "The suite's name." }),
    title: t.exposeString('title', { description: 'What people call it.' }),
    n: t.exposeInt('n', { description: 'How many samples both were scored on, over all tasks.' }),
    baseline: t.exposeFloat('baseline', { description: "The baseline's mean." }),
    candidate: t.exposeFloat('candidate', { description: "The candidate's mean." }),
    difference: t.exposeFloat('difference', { description: 'Candidate minus baseline.' }),
    low: t.exposeFloat('low', { description: 'The lower end of its interval.' }),
    high: t.exposeFloat('high', { description: 'The upper end of its interval.' }),
    level: t.exposeFloat('level', { description: "The interval's confidence level." }),
  }),
})

const DirectionType = builder.enumType('FlipDirection', {
  description: 'Which way a sample changed.',
  values: {
    GAINED: { description: 'The candidate scored higher.' },
    LOST: { description: 'The baseline scored higher.' },
  } satisfies Record<Direction, object>,
})

const SideType = builder.objectRef<Side>('FlipSide').implement({
  description: 'What one side made of a question.',
  authScopes: member,
  fields: (t) => ({
    score: t.exposeFloat('score', { description: 'Of the metric.' }),
    picked: t.exposeInt('picked', {
      nullable: true,
      description: 'Which answer it found likeliest, from 0; null where there is no choice.',
    }),
    margin: t.exposeFloat('margin', {
      nullable: true,
      description:
        'The log-likelihood of the right answer less that of the likeliest other, in nats; null where there is no choice.',
    }),
    response: t.exposeString('response', {
      nullable: true,
      description: 'The beginning of what it wrote; null where it chose.',
    }),
  }),
})

const FlipType = builder.objectRef<Flip>('Flip').implement({
  description: 'A sample whose score changed between baseline and candidate.',
  authScopes: member,
  fields: (t) => ({
    document: t.exposeInt('document', { description: "The row of the task's file, from 0." }),
    question: t.exposeString('question', { description: 'The end of the question.' }),
    answers: t.exposeStringList('answers', { description: 'The beginnings of the answers.' }),
    gold: t.exposeInt('gold', {
      nullable: true,
      description: 'Which answer is right, from 0; null where there is no choice.',
    }),
    gained: t.exposeBoolean('gained', { description: 'Whether the candidate scored higher.' }),
    baseline: t.expose('baseline', { type: SideType, description: 'Before.' }),
    candidate: t.expose('candidate', { type: SideType, description: 'After.' }),
  }),
})

export const ComparisonType = builder.drizzleNode('comparisons', {
  name: 'Comparison',
  description: 'A candidate against a baseline on the samples that both were scored on.',
  id: { column: (comparison) => comparison.id, description: 'Comparison:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    run: t.relation('run', {
      nullable: true,
      description: 'The training run that asked for it; null when made by compare.',
    }),
    account: t.relation('account', { description: 'Who asked for it.' }),
    baselineModel: t.relation('baselineModel', { description: "The baseline's base model." }),
    baselineAdapter: t.relation('baselineAdapter', {
      nullable: true,
      description: "The baseline's adapter; null for the base model itself.",
    }),
    candidateModel: t.relation('candidateModel', { description: "The candidate's base model." }),
    candidateAdapter: t.relation('candidateAdapter', {
      nullable: true,
      description: "The candidate's adapter; null for the base model itself.",
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    suites: t.field({
      type: [ComparedSuiteType],
      description: 'The suites of which both sides have every task, asked as the suite asks it.',
      resolve: ({ id }, _args, { db }) => comparedSuites(db, id),
    }),
    flips: t.connection({
      type: FlipType,
      complexity: pageCost,
      description: 'The samples whose score changed, the largest change first.',
      args: {
        task: t.arg.string({ required: true, description: 'Of this task.' }),
        metric: t.arg.string({ description: "By this metric. Default: the task's headline." }),
        direction: t.arg({ type: DirectionType, description: 'Default: both.' }),
      },
      resolve: async ({ id }, { task, metric, direction, ...args }, { db }) => {
        const wanted = metric ?? tasks.get(task)?.headline
        const row = await db.query.comparisonTasks.findFirst({
          where: { comparisonId: id, task, ...(wanted === undefined ? {} : { metric: wanted }) },
          // A task that a run declared has its headline first.
          orderBy: { metric: 'asc' },
        })
        const pair = row && {
          baseline: row.baselineEvaluationId,
          candidate: row.candidateEvaluationId,
        }
        return resolveOffsetConnection(
          { args, defaultSize: pageSize, maxSize: maxPageSize },
          async (page) =>
            pair === undefined
              ? []
              : readFlips(db, row!.metric, pair, { direction: direction ?? null, ...page }),
        )
      },
    }),
    tasks: t.relation('tasks', {
      description: 'The differences, by task and metric.',
      query: { orderBy: { task: 'asc', metric: 'asc' } },
    }),
  }),
})

builder.queryFields((t) => ({
  comparison: t.drizzleField({
    type: ComparisonType,
    nullable: true,
    authScopes: member,
    description: 'A comparison by its id.',
    args: { id: t.arg.id({ required: true, description: "The comparison's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Comparison', String(id))
      return uuid === null ? null : db.query.comparisons.findFirst(query({ where: { id: uuid } }))
    },
  }),
  comparisons: t.drizzleConnection({
    type: 'comparisons',
    authScopes: member,
    complexity: pageCost,
    description: 'Every comparison, newest first.',
    resolve: (query, _root, _args, { db }) =>
      db.query.comparisons.findMany(query({ orderBy: { createdAt: 'desc', id: 'desc' } })),
  }),
}))

export const SubjectInput = builder.inputType('SubjectInput', {
  description: 'A base model itself, or an adapter on its base model.',
  isOneOf: true,
  fields: (t) => ({
    modelId: t.id({ description: "The base model's id." }),
    adapterId: t.id({ description: "The adapter's id." }),
  }),
})

const CompareInput = builder.inputType('CompareInput', {
  description: 'What is to be compared. Both must have been scored already.',
  fields: (t) => ({
    baseline: t.field({ type: SubjectInput, required: true, description: 'The zero line.' }),
    candidate: t.field({
      type: SubjectInput,
      required: true,
      description: 'What is to be better.',
    }),
    tasks: t.field({
      type: ['String'],
      description: 'On which tasks. Default: all that both were scored on.',
    }),
  }),
})

type SubjectGiven = {
  readonly modelId?: string | number | null
  readonly adapterId?: string | number | null
}

export const subject = ({ modelId, adapterId }: SubjectGiven): SubjectRef =>
  adapterId == null
    ? { modelId: rowId('Model', modelId ?? '') }
    : { adapterId: rowId('Adapter', adapterId) }

builder.mutationField('compare', (t) =>
  t.withAuth(member).drizzleField({
    type: ComparisonType,
    description:
      'Compares two subjects on the samples that both were scored on; nothing new is scored.',
    args: {
      input: t.arg({ type: CompareInput, required: true, description: 'What is to be compared.' }),
    },
    errors: {
      types: [InvalidInput, NotFound, Conflict],
      union: { name: 'CompareResult', description: 'What compare answers.' },
    },
    resolve: async (query, _root, { input }, ctx) => {
      const { id } = await compareSubjects(ctx, ctx.caller, {
        baseline: subject(input.baseline),
        candidate: subject(input.candidate),
        tasks: input.tasks ?? null,
      })
      return (await ctx.db.query.comparisons.findFirst(query({ where: { id } })))!
    },
  }),
)
