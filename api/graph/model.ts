/** Base models. */
import { builder } from './builder.ts'
import { uuidOf } from './id.ts'
import { pageCost } from './page.ts'

const member = { member: true }

export const ModelType = builder.drizzleNode('baseModels', {
  name: 'Model',
  description: 'A base model that some run has used, identified by its content.',
  id: { column: (model) => model.id, description: 'Model:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The last name of its directory.' }),
    path: t.exposeString('path', { description: 'Where it was when it was first used.' }),
    revision: t.exposeString('revision', {
      description: 'Hash over configuration, tokenizer and weights.',
    }),
    family: t.exposeString('family', { description: 'Its model_type, such as llama.' }),
    parameters: t.exposeFloat('parameters', {
      description: 'How many numbers it has; a whole number.',
    }),
    dtype: t.exposeString('dtype', { description: 'In what precision its weights are stored.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first used.' }),
    adapters: t.relatedConnection('adapters', {
      description: 'The adapters trained on it, newest first.',
      complexity: pageCost,
      query: { orderBy: { createdAt: 'desc', id: 'desc' } },
    }),
    evaluations: t.relatedConnection('evaluations', {
      description: 'How the model itself did, without any adapter, newest first.',
      complexity: pageCost,
      query: { orderBy: { createdAt: 'desc', id: 'desc' } },
    }),
  }),
})

builder.queryFields((t) => ({
  model: t.drizzleField({
    type: ModelType,
    nullable: true,
    authScopes: member,
    description: 'A base model by its id.',
    args: { id: t.arg.id({ required: true, description: "The model's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Model', String(id))
      return uuid === null ? null : db.query.baseModels.findFirst(query({ where: { id: uuid } }))
    },
  }),
  models: t.drizzleConnection({
    type: 'baseModels',
    authScopes: member,
    complexity: pageCost,
    description: 'Every base model that was ever used, newest first.',
    resolve: (query, _root, _args, { db }) =>
      db.query.baseModels.findMany(query({ orderBy: { createdAt: 'desc', id: 'desc' } })),
  }),
}))
