/** importAdapter: adapters that were trained elsewhere. */
import { Conflict, InvalidInput } from '../problem.ts'
import { importAdapter } from '../runs/importAdapter.ts'
import { AdapterType } from './adapter.ts'
import { builder } from './builder.ts'
import { ModelInput } from './train.ts'

const ImportAdapterInput = builder.inputType('ImportAdapterInput', {
  description: 'An adapter that was trained elsewhere.',
  fields: (t) => ({
    idempotencyKey: t.string({
      required: true,
      description:
        'Any text of yours, 1 to 200 characters: the same key with the same input is the same adapter, with other input a Conflict.',
    }),
    name: t.string({ required: true, description: 'What people will call it.' }),
    path: t.string({
      required: true,
      description:
        "Its folder in PEFT's layout, inside the roots: adapter_config.json and adapter_model.safetensors.",
    }),
    model: t.field({
      type: ModelInput,
      required: true,
      description: 'The base model that it was trained on.',
    }),
  }),
})

builder.mutationField('importAdapter', (t) =>
  t.withAuth({ member: true }).drizzleField({
    type: AdapterType,
    description:
      'Copies a LoRA adapter of PEFT: one rank and alpha, on linears of all layers. From then on it is evaluated and compared like one that was trained here.',
    args: {
      input: t.arg({ type: ImportAdapterInput, required: true, description: 'What to copy.' }),
    },
    errors: {
      types: [InvalidInput, Conflict],
      union: { name: 'ImportAdapterResult', description: 'What importAdapter answers.' },
    },
    resolve: async (query, _root, { input }, ctx) => {
      const { id } = await importAdapter(ctx, ctx.caller, input)
      return (await ctx.db.query.adapters.findFirst(query({ where: { id } })))!
    },
  }),
)
