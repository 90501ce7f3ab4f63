/** Base models, datasets and adapters: the things that runs read and make. All are identified by their content. */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  snakeCase,
  text,
  timestamp,
  unique,
  uuid,
  type AnyPgColumn,
} from 'drizzle-orm/pg-core'
import { accounts } from './accounts.ts'
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
    /** The run that trained it; null for one that was imported, with its files as artifacts of its own. */
    runId: uuid()
      .unique()
      .references(() => runs.id),
    /** Of an import: whose, under which key, and the sha256 of the canonical input that came with it. */
    accountId: uuid().references(() => accounts.id),
    importKey: text(),
    importHash: text(),
    baseModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    sha256: text().notNull(),
    parameters: bigint({ mode: 'number' }).notNull(),
    r: integer().notNull(),
    alpha: doublePrecision().notNull(),
    /** Of an import: whether its update is scaled by alpha / √r. Null where its run's spec says so. */
    rslora: boolean(),
    targetModules: jsonb().$type<string[]>().notNull(),
    /** The optimizer step after which it was taken: the last, or that of the best evaluation. Null where it was not said. */
    step: integer(),
    /** The adapter that its training started from; null for a start at the base model. */
    parentId: uuid().references((): AnyPgColumn => adapters.id),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (t) => [
    index('adapters_base_model').on(t.baseModelId),
    unique('adapters_import').on(t.accountId, t.importKey),
    check('adapters_made', sql`(run_id is null) = (import_key is not null)`),
  ],
)
