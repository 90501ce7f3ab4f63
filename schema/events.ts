/** What happened in a run, and its curves. The events table is the truth; metrics are read from it as it is written. */
import {
  bigint,
  doublePrecision,
  index,
  integer,
  jsonb,
  primaryKey,
  snakeCase,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { runs } from './runs.ts'

const { table } = snakeCase

/**
 * `cursor` is dense per run. (run, attempt, source, sourceSeq) is unique, so a post that is repeated changes nothing.
 * Runtime event types are those of protocol.ts (samples are not kept here but in their own table);
 * the api's own are `status`, `cancel` and `log`.
 */
export const events = table(
  'events',
  {
    runId: uuid()
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    cursor: bigint({ mode: 'number' }).notNull(),
    attempt: integer().notNull(),
    source: text({ enum: ['API', 'RUNTIME', 'LAUNCHER'] }).notNull(),
    sourceSeq: bigint({ mode: 'number' }).notNull(),
    type: text().notNull(),
    at: timestamp({ withTimezone: true }).notNull().defaultNow(),
    body: jsonb().$type<Record<string, unknown>>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.cursor] }),
    unique('events_source').on(t.runId, t.attempt, t.source, t.sourceSeq),
  ],
)

/** One point of one curve. A resumed attempt replaces the steps it repeats; null was not finite. */
export const metrics = table(
  'metrics',
  {
    runId: uuid()
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    step: integer().notNull(),
    value: doublePrecision(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.name, t.step] }),
    index('metrics_step').on(t.runId, t.step),
  ],
)
