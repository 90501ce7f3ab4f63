/** Runs: what was asked for, how far it is, what came of it. */
import { runStatuses, type RunStatus } from '#schema/lifecycle.ts'
import type { Failure } from '#schema/runs.ts'
import type { EvaluateSpec, Quantization, TaskRef } from '#schema/spec.ts'
import { Conflict, InvalidInput, LimitExceeded, NotFound } from '../problem.ts'
import { cancelRun } from '../runs/cancel.ts'
import { runSuiteResults, runSummary } from '../runs/suites.ts'
import { runGate } from '../runs/verdict.ts'
import { retryRun } from '../runs/retry.ts'
import { byShard, shardOf } from '../runs/run.ts'
import { builder } from './builder.ts'
import { rowId, uuidOf } from './id.ts'
import { pageCost } from './page.ts'
import { EngineType, LoraType, QuantizationType, RecipeType } from './recipe.ts'
import { SuiteResultType } from './suite.ts'
import { SettingsType } from './task.ts'
import { GateType } from './verdict.ts'

const member = { member: true }

export const RunStatusType = builder.enumType('RunStatus', {
  description: 'How far a run is.',
  values: {
    QUEUED: { description: 'It waits for a runtime, for the first time or again.' },
    STARTING: { description: 'A runtime was launched and has not said anything yet.' },
    RUNNING: { description: 'A runtime works on it.' },
    SUCCEEDED: { description: 'Everything that was asked for is there.' },
    FAILED: { description: 'It ended without; failure says why.' },
    CANCELED: { description: 'Somebody ended it.' },
  } satisfies Record<RunStatus, object>,
})

const RunKind = builder.enumType('RunKind', {
  description: 'What a run does.',
  values: {
    TRAIN: {
      description: 'It trains an adapter and, where tasks are given, scores base and adapter.',
    },
    EVALUATE: { description: 'It scores a base model or an adapter.' },
    INSPECT: { description: 'It looks at a task or a dataset as a model is given it.' },
  },
})

const FailureType = builder.objectRef<Failure>('Failure').implement({
  description: 'Why a run failed.',
  authScopes: member,
  fields: (t) => ({
    code: t.exposeString('code', {
      description:
        'INPUT: the data or the model; NON_FINITE: a term of the loss left the numbers; anything else is ours.',
    }),
    message: t.exposeString('message', { description: 'What happened, in words.' }),
  }),
})

const TaskOrder = builder.objectRef<TaskRef>('TaskOrder').implement({
  description: 'A task that a run scores on.',
  authScopes: member,
  fields: (t) => ({
    settings: t.expose('settings', {
      type: SettingsType,
      description: 'What gives its scores their meaning.',
    }),
    rows: t.exposeString('rows', { description: 'The file of its rows.' }),
  }),
})

const ShardType = builder.objectRef<NonNullable<EvaluateSpec['shard']>>('Shard').implement({
  description: 'A part of an evaluation.',
  authScopes: member,
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Which one, from 0.' }),
    count: t.exposeInt('count', { description: 'Of how many.' }),
  }),
})

export const RunType = builder.drizzleNode('runs', {
  name: 'Run',
  description: 'One piece of work: a training, or an evaluation.',
  id: {
    column: (run) => run.id,
    description: 'Run:<uuid>; where a run is asked for, the bare uuid is taken too.',
  },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What people call it.' }),
    kind: t.expose('kind', { type: RunKind, description: 'What it does.' }),
    status: t.expose('status', { type: RunStatusType, description: 'How far it is.' }),
    attempt: t.exposeInt('attempt', {
      description: 'How often it was started; 0 while it waits for the first time.',
    }),
    maxAttempts: t.exposeInt('maxAttempts', {
      description: 'How often it may be started when runtimes are lost.',
    }),
    priority: t.exposeInt('priority', { description: 'Higher ones start first.' }),
    failure: t.expose('failure', {
      type: FailureType,
      nullable: true,
      description: 'Why it failed; null unless it did.',
    }),
    cancelRequestedAt: t.expose('cancelRequestedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When somebody asked for its end.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was asked for.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a runtime first worked on it.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended.',
    }),
    account: t.relation('account', { description: 'Who asked for it.' }),
    model: t.relation('baseModel', { description: 'The base model.' }),
    dataset: t.relation('dataset', {
      nullable: true,
      description: 'What it trains on; null for an evaluation.',
    }),
    adapter: t.relation('adapter', {
      nullable: true,
      description: 'The adapter it trained; null for an evaluation, or until training has ended.',
    }),
    evaluated: t.relation('evaluated', {
      nullable: true,
      description:
        'The adapter that an evaluation scores, or that a training starts from; null for the base model itself.',
    }),
    comparison: t.relation('comparison', {
      nullable: true,
      description: 'Adapter against base model, when a training with tasks has ended.',
    }),
    shard: t.field({
      type: ShardType,
      nullable: true,
      description: 'The part of the documents that it scores; null for all of them.',
      resolve: shardOf,
    }),
    lead: t.relation('lead', {
      nullable: true,
      description: 'The shard that has the scores of all; null for a run that is whole.',
    }),
    siblings: t.relation('siblings', {
      description:
        'All shards of the evaluation, itself included, in their order, retries behind what they repeat; empty for a run that is whole.',
      query: { orderBy: ({ spec, createdAt }) => [byShard(spec), createdAt] },
    }),
    evaluations: t.relation('evaluations', {
      description:
        'Its scores, in the order in which they were begun; those of all shards are with their lead.',
      query: { orderBy: { createdAt: 'asc', id: 'asc' } },
    }),
    artifacts: t.relation('artifacts', {
      description: 'The files it stored.',
      query: { orderBy: { createdAt: 'asc', id: 'asc' } },
    }),
    spec: t.expose('spec', {
      type: 'JSON',
      description:
        'Everything it depends on, pinned by content: the same spec gives the same adapter.',
    }),
    recipe: t.field({
      type: RecipeType,
      nullable: true,
      description: 'The training recipe; null for an evaluation.',
      resolve: ({ spec }) => (spec.kind === 'TRAIN' ? spec.recipe : null),
    }),
    lora: t.field({
      type: LoraType,
      nullable: true,
      description: 'The low-rank update it looks for; null for an evaluation.',
      resolve: ({ spec }) => (spec.kind === 'TRAIN' ? spec.lora : null),
    }),
    quantization: t.field({
      type: QuantizationType,
      description: 'How it holds the base model.',
      // Runs that are older than this have no such word in their spec.
      resolve: ({ spec }) => (spec.quantization as Quantization | undefined) ?? 'NONE',
    }),
    engine: t.field({
      type: EngineType,
      description: 'How its runtime computes.',
      resolve: ({ spec }) => spec.engine,
    }),
    tasks: t.field({
      type: [TaskOrder],
      description: 'The tasks it scores on.',
      resolve: ({ spec }) => spec.evaluate,
    }),
    suiteResults: t.field({
      type: [SuiteResultType],
      description:
        'Averages on the suites it was asked for: for a training, of the base model and then of its adapter.',
      resolve: async (run, _args, { db }) =>
        (await runSuiteResults(db, run)).flatMap(({ results, ...subject }) =>
          results.map((result) => ({ ...subject, ...result })),
        ),
    }),
    gateResult: t.field({
      type: GateType,
      nullable: true,
      description:
        'What its gate comes to; null where none was asked for, or until the run has succeeded.',
      resolve: (run, _args, { db }) => runGate(db, run),
    }),
    summary: t.string({
      nullable: true,
      description:
        "LLM AutoEval's summary of its suites in Markdown: averages, and every task's scores. Null where no suite was asked for.",
      resolve: (run, _args, { db }) => runSummary(db, run),
    }),
  }),
})

const RunFilter = builder.inputType('RunFilter', {
  description: 'Which runs.',
  fields: (t) => ({
    status: t.field({ type: [RunStatusType], description: 'Only those in one of these states.' }),
    kind: t.field({ type: RunKind, description: 'Only those of this kind.' }),
  }),
})

builder.queryFields((t) => ({
  run: t.drizzleField({
    type: RunType,
    nullable: true,
    authScopes: member,
    description: 'A run by its id.',
    args: { id: t.arg.id({ required: true, description: "The run's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Run', String(id))
      return uuid === null ? null : db.query.runs.findFirst(query({ where: { id: uuid } }))
    },
  }),
  runs: t.drizzleConnection({
    type: 'runs',
    authScopes: member,
    complexity: pageCost,
    description:
      'Every training and evaluation, newest first; inspections where they are asked for.',
    args: { filter: t.arg({ type: RunFilter, description: 'Which ones; all unless told.' }) },
    resolve: (query, _root, { filter }, { db }) =>
      db.query.runs.findMany(
        query({
          where: {
            status: { in: [...(filter?.status ?? runStatuses)] },
            kind: filter?.kind ?? { in: ['TRAIN', 'EVALUATE'] },
          },
          orderBy: { createdAt: 'desc', id: 'desc' },
        }),
      ),
  }),
}))

builder.mutationFields((t) => ({
  cancelRun: t.withAuth(member).drizzleField({
    type: RunType,
    description:
      "Asks for a run's end: a waiting one ends at once, a running one when its runtime has stopped.",
    args: { id: t.arg.id({ required: true, description: "The run's id." }) },
    errors: {
      types: [NotFound, Conflict],
      union: { name: 'CancelRunResult', description: 'What cancelRun answers.' },
    },
    resolve: async (query, _root, { id: given }, ctx) => {
      const { id } = await cancelRun(ctx, ctx.caller, rowId('Run', given))
      return (await ctx.db.query.runs.findFirst(query({ where: { id } })))!
    },
  }),
  retryRun: t.withAuth(member).drizzleField({
    type: RunType,
    description: 'Starts a new run of the same spec, when the old one failed or was canceled.',
    args: {
      id: t.arg.id({ required: true, description: "The old run's id." }),
      idempotencyKey: t.arg.string({
        required: true,
        description:
          'Any text of yours, 1 to 200 characters; the same one again is answered with the same run.',
      }),
    },
    errors: {
      types: [InvalidInput, NotFound, Conflict, LimitExceeded],
      union: { name: 'RetryRunResult', description: 'What retryRun answers.' },
    },
    resolve: async (query, _root, { id: given, idempotencyKey }, ctx) => {
      const { id } = await retryRun(ctx, ctx.caller, { id: rowId('Run', given), idempotencyKey })
      return (await ctx.db.query.runs.findFirst(query({ where: { id } })))!
    },
  }),
}))
