/** evaluate: scores for a base model, or for an adapter on it. */
import { Conflict, InvalidInput, LimitExceeded, NotFound } from '../problem.ts'
import { createEvaluation } from '../runs/create.ts'
import { builder } from './builder.ts'
import { CustomTaskInput } from './customTask.ts'
import { rowId } from './id.ts'
import { EngineInput, QuantizationType } from './recipe.ts'
import { RunType } from './run.ts'
import { EvaluateSuiteInput } from './suite.ts'
import { EvaluateTaskInput } from './task.ts'
import { ModelInput } from './train.ts'
import { GateInput } from './verdict.ts'

const EvaluateInput = builder.inputType('EvaluateInput', {
  description: 'An evaluation. Give a model, or an adapter, whose model is then its own.',
  fields: (t) => ({
    idempotencyKey: t.string({
      required: true,
      description:
        'Any text of yours, 1 to 200 characters: the same key with the same input is the same run, with other input a Conflict.',
    }),
    name: t.string({
      description: 'What people will call the run. Default: made of subject and tasks.',
    }),
    model: t.field({ type: ModelInput, description: 'The base model to score.' }),
    adapterId: t.id({ description: 'The adapter to score.' }),
    tasks: t.field({
      type: [EvaluateTaskInput],
      description: 'The tasks, each once; at least one, or a suite.',
    }),
    suites: t.field({
      type: [EvaluateSuiteInput],
      description: 'Suites, each once, whose tasks are scored beside those of `tasks`.',
    }),
    custom: t.field({
      type: [CustomTaskInput],
      description: "Tasks of one's own, scored beside the others.",
    }),
    quantization: t.field({
      type: QuantizationType,
      description:
        'How the base model is held, whatever it was while an adapter was trained. Default: NONE.',
    }),
    shards: t.int({
      description:
        'Over how many runs the documents are spread, 1 to 64; the scores are the same to the bit. Default: 1.',
    }),
    gate: t.field({
      type: GateInput,
      description:
        'What the adapter has to show against its base model, which is then scored too and compared with it. Default: nothing.',
    }),
    engine: t.field({ type: EngineInput, description: 'How the runtime computes.' }),
    priority: t.int({ description: 'Higher ones start first, -1000 to 1000. Default: 0.' }),
    maxAttempts: t.int({
      description:
        'How often it may be started when runtimes are lost. Default: as this installation says.',
    }),
  }),
})

builder.mutationField('evaluate', (t) =>
  t.withAuth({ member: true }).drizzleField({
    type: RunType,
    description:
      'Scores a base model or an adapter on benchmark tasks; documents that the same weights were asked before are not computed again. Of several shards the answer is the lead, the first.',
    args: { input: t.arg({ type: EvaluateInput, required: true, description: 'What to score.' }) },
    errors: {
      types: [InvalidInput, NotFound, Conflict, LimitExceeded],
      union: { name: 'EvaluateResult', description: 'What evaluate answers.' },
    },
    resolve: async (query, _root, { input: { adapterId, ...input } }, ctx) => {
      const adapter = adapterId == null ? {} : { adapterId: rowId('Adapter', adapterId) }
      const { id } = await createEvaluation(ctx, ctx.caller, { ...input, ...adapter })
      return (await ctx.db.query.runs.findFirst(query({ where: { id } })))!
    },
  }),
)
