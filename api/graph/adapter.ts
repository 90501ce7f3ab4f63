/** Adapters: what training makes. */
import { builder } from './builder.ts'
import { uuidOf } from './id.ts'
import { pageCost } from './page.ts'

const member = { member: true }

export const AdapterType = builder.drizzleNode('adapters', {
  name: 'Adapter',
  description: "A LoRA adapter in PEFT's layout, trained here or imported.",
  id: { column: (adapter) => adapter.id, description: 'Adapter:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'The name of the run that made it, or the one that it was imported under.',
    }),
    run: t.relation('run', {
      nullable: true,
      description: 'The run that made it; null for one that was imported.',
    }),
    imported: t.boolean({
      description: 'Whether it was trained elsewhere.',
      resolve: ({ runId }) => runId === null,
    }),
    model: t.relation('baseModel', { description: 'The base model it belongs on.' }),
    sha256: t.exposeString('sha256', {
      description: 'Hash of its weights: the same spec makes the same adapter.',
    }),
    parameters: t.exposeFloat('parameters', {
      description: 'How many numbers were trained; a whole number.',
    }),
    r: t.exposeInt('r', { description: 'Its rank.' }),
    alpha: t.exposeFloat('alpha', {
      description: 'Its update is scaled by alpha / r, or alpha / √r: see the LoRA of its run.',
    }),
    step: t.exposeInt('step', {
      nullable: true,
      description:
        'The optimizer step after which it was taken: the last, or with keepBest that of the best evaluation.',
    }),
    parent: t.relation('parent', {
      nullable: true,
      description:
        'The adapter that its training started from; null for a start at the base model.',
    }),
    targetModules: t.exposeStringList('targetModules', { description: 'The linears it updates.' }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When its training ended, or it was imported.',
    }),
    evaluations: t.relatedConnection('evaluations', {
      description: 'How it did, newest first.',
      complexity: pageCost,
      query: { orderBy: { createdAt: 'desc', id: 'desc' } },
    }),
  }),
})

builder.queryFields((t) => ({
  adapter: t.drizzleField({
    type: AdapterType,
    nullable: true,
    authScopes: member,
    description: 'An adapter by its id.',
    args: { id: t.arg.id({ required: true, description: "The adapter's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Adapter', String(id))
      return uuid === null ? null : db.query.adapters.findFirst(query({ where: { id: uuid } }))
    },
  }),
  adapters: t.drizzleConnection({
    type: 'adapters',
    authScopes: member,
    complexity: pageCost,
    description: 'Every adapter, newest first.',
    resolve: (query, _root, _args, { db }) =>
      db.query.adapters.findMany(query({ orderBy: { createdAt: 'desc', id: 'desc' } })),
  }),
}))
