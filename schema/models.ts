/** Base models, datasets and adapters: the things that runs read and make. All are identified by their content. */
import {
  bigint,
  doublePrecision,
  index,
  integer,
  jsonb,
  snakeCase,
  text,
  timestamp,
  uuid,
  type AnyPgColumn,
} from 'drizzle-orm/pg-core'
import { runs } from './runs.ts'

const { table } = snakeCase

export const baseModels = table('base_models', {
  id: uuid().primaryKey().defaultRandom(),
  /** The directory's last name, for people. */
  name: text().notNull(),
  path: text().notNull(),
  /** Hash over config, tokenizer and weights. */
  revision: text().notNull().unique(),
  family: text().notNull(),
  parameters: bigint({ mode: 'number' }).notNull(),
  dtype: text().notNull(),
  createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
})

export const datasets = table('datasets', {
  id: uuid().primaryKey().defaultRandom(),
  name: text().notNull(),
  path: text().notNull(),
  sha256: text().notNull().unique(),
  bytes: bigint({ mode: 'number' }).notNull(),
  createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
})

export const adapters = table(
  'adapters',
  {
    id: uuid().primaryKey().defaultRandom(),
    name: text().notNull(),
    runId: uuid()
      .notNull()
      .unique()
      .references(() => runs.id),
    baseModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    sha256: text().notNull(),
    parameters: bigint({ mode: 'number' }).notNull(),
    r: integer().notNull(),
    alpha: doublePrecision().notNull(),
    targetModules: jsonb().$type<string[]>().notNull(),
    /** The optimizer step after which it was taken: the last, or that of the best evaluation. Null where it was not said. */
    step: integer(),
    /** The adapter that its training started from; null for a start at the base model. */
    parentId: uuid().references((): AnyPgColumn => adapters.id),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (t) => [index('adapters_base_model').on(t.baseModelId)],
)
