/** Preference datasets. */
import { builder } from './builder.ts'
import { uuidOf } from './id.ts'
import { pageCost } from './page.ts'

const member = { member: true }

export const DatasetType = builder.drizzleNode('datasets', {
  name: 'Dataset',
  description: 'A preference dataset that some run has used, identified by its content.',
  id: { column: (dataset) => dataset.id, description: 'Dataset:<uuid>.' },
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of its file.' }),
    path: t.exposeString('path', { description: 'Where it was when it was first used.' }),
    sha256: t.exposeString('sha256', { description: 'Hash of the file.' }),
    bytes: t.exposeFloat('bytes', { description: "The file's size; a whole number." }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first used.' }),
    runs: t.relatedConnection('runs', {
      description: 'The runs that trained on it, newest first.',
      complexity: pageCost,
      query: { orderBy: { createdAt: 'desc', id: 'desc' } },
    }),
  }),
})

builder.queryFields((t) => ({
  dataset: t.drizzleField({
    type: DatasetType,
    nullable: true,
    authScopes: member,
    description: 'A dataset by its id.',
    args: { id: t.arg.id({ required: true, description: "The dataset's id." }) },
    resolve: (query, _root, { id }, { db }) => {
      const uuid = uuidOf('Dataset', String(id))
      return uuid === null ? null : db.query.datasets.findFirst(query({ where: { id: uuid } }))
    },
  }),
  datasets: t.drizzleConnection({
    type: 'datasets',
    authScopes: member,
    complexity: pageCost,
    description: 'Every dataset that was ever used, newest first.',
    resolve: (query, _root, _args, { db }) =>
      db.query.datasets.findMany(query({ orderBy: { createdAt: 'desc', id: 'desc' } })),
  }),
}))
