/** trainAdapter: the main job in one call. */
import { Conflict, InvalidInput, LimitExceeded, NotFound } from '../problem.ts'
import { createTraining } from '../runs/create.ts'
import { builder } from './builder.ts'
import { rowId } from './id.ts'
import { EngineInput, LoraInput, QuantizationType, RecipeInput } from './recipe.ts'
import { RunType } from './run.ts'
import { CustomTaskInput } from './customTask.ts'
import { EvaluateSuiteInput } from './suite.ts'
import { EvaluateTaskInput } from './task.ts'
import { GateInput } from './verdict.ts'

export const ModelInput = builder.inputType('ModelInput', {
  description: 'A base model.',
  fields: (t) => ({
    path: t.string({
      required: true,
      description: 'Its directory in Hugging Face layout, inside the allowed folders.',
    }),
  }),
})

const DatasetInput = builder.inputType('DatasetInput', {
  description: 'A preference dataset.',
  fields: (t) => ({
    path: t.string({ required: true, description: 'Its file, inside the allowed folders.' }),
    shuffle: t.boolean({
      description:
        "Whether rows are shuffled, by the recipe's seed, before any are left out or held out. Default: true.",
    }),
    limit: t.int({ description: 'Only so many rows. Default: all.' }),
    testSize: t.float({
      description: 'Held-out rows: below 1 a fraction, else a number; 0 for none. Default: 0.01.',
    }),
  }),
})

const EvaluateClause = builder.inputType('EvaluateClause', {
  description:
    'What base model and adapter are scored on after training and, with `every`, during it.',
  fields: (t) => ({
    tasks: t.field({
      type: [EvaluateTaskInput],
      description: 'The tasks, each once.',
    }),
    suites: t.field({
      type: [EvaluateSuiteInput],
      description: 'Suites, each once, whose tasks are scored beside those of `tasks`.',
    }),
    custom: t.field({
      type: [CustomTaskInput],
      description: "Tasks of one's own, scored beside the others.",
    }),
    every: t.float({
      description:
        'How often the adapter, as it then is, is scored on `tasks` during training: below 1 a fraction of the run, else a number of steps; before the first step and after the last in any case. The curves are named eval_<task>/<metric>. Default: not at all.',
    }),
    limit: t.int({
      description:
        'With `every`: the first so many documents of each task, or its own limit where that is smaller, up to 10000. Default: 100.',
    }),
    gate: t.field({
      type: GateInput,
      description: 'What the adapter has to show against its base model. Default: nothing.',
    }),
  }),
})

const TrainAdapterInput = builder.inputType('TrainAdapterInput', {
  description:
    "An ORPO training. Model and dataset are enough; everything else has the article's values.",
  fields: (t) => ({
    idempotencyKey: t.string({
      required: true,
      description:
        'Any text of yours, 1 to 200 characters: the same key with the same input is the same run, with other input a Conflict.',
    }),
    name: t.string({
      description:
        'What people will call the run and its adapter. Default: made of model and dataset.',
    }),
    model: t.field({ type: ModelInput, required: true, description: 'What is trained.' }),
    adapterId: t.id({
      description:
        "An adapter to go on from, with an optimizer and a schedule of its own; rank, alpha and linears are the adapter's. Default: a start at the base model.",
    }),
    dataset: t.field({ type: DatasetInput, required: true, description: 'What it is trained on.' }),
    quantization: t.field({
      type: QuantizationType,
      description:
        'How the base model is held while it is trained and, with evaluate, scored. Default: NONE.',
    }),
    recipe: t.field({ type: RecipeInput, description: 'How it is trained.' }),
    lora: t.field({ type: LoraInput, description: 'What is trained of it.' }),
    engine: t.field({ type: EngineInput, description: 'How the runtime computes.' }),
    evaluate: t.field({
      type: EvaluateClause,
      description: 'Scores base and adapter afterwards, and compares them. Default: nothing.',
    }),
    priority: t.int({ description: 'Higher ones start first, -1000 to 1000. Default: 0.' }),
    maxAttempts: t.int({
      description:
        'How often it may be started when runtimes are lost. Default: as this installation says.',
    }),
  }),
})

builder.mutationField('trainAdapter', (t) =>
  t.withAuth({ member: true }).drizzleField({
    type: RunType,
    description:
      'Trains an ORPO adapter and, with evaluate, scores base and adapter on the same samples and compares them.',
    args: {
      input: t.arg({ type: TrainAdapterInput, required: true, description: 'What to train.' }),
    },
    errors: {
      types: [InvalidInput, NotFound, Conflict, LimitExceeded],
      union: { name: 'TrainAdapterResult', description: 'What trainAdapter answers.' },
    },
    resolve: async (query, _root, { input: { adapterId, ...input } }, ctx) => {
      const adapter = adapterId == null ? {} : { adapterId: rowId('Adapter', adapterId) }
      const { id } = await createTraining(ctx, ctx.caller, { ...input, ...adapter })
      return (await ctx.db.query.runs.findFirst(query({ where: { id } })))!
    },
  }),
)
