/** Runs and the files they make. The run row is the job: claim, lease and fencing live here, there is no queue beside it. */
import { sql } from 'drizzle-orm'
import {
  bigint,
  check,
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
import { runStatuses } from './lifecycle.ts'
import { adapters, baseModels, datasets } from './models.ts'
import type { Preview } from './protocol.ts'
import type { RunSpec } from './spec.ts'

const { table } = snakeCase

export type Failure = { readonly code: string; readonly message: string }

export const runs = table(
  'runs',
  {
    id: uuid().primaryKey().defaultRandom(),
    accountId: uuid()
      .notNull()
      .references(() => accounts.id),
    name: text().notNull(),
    kind: text({ enum: ['TRAIN', 'EVALUATE', 'INSPECT'] }).notNull(),
    status: text({ enum: runStatuses }).notNull().default('QUEUED'),
    spec: jsonb().$type<RunSpec>().notNull(),
    baseModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    datasetId: uuid().references(() => datasets.id),
    /** The adapter that an EVALUATE run scores, or that a TRAIN run starts from. */
    adapterId: uuid().references((): AnyPgColumn => adapters.id),
    retryOf: uuid().references((): AnyPgColumn => runs.id),
    /** Of a shard: the run that has the evaluations of all, which may be itself. Null for a run that is whole. */
    leadId: uuid().references((): AnyPgColumn => runs.id),
    idempotencyKey: text().notNull(),
    /** sha256 of the canonical input that came with the key: same key, other input is a conflict. */
    inputHash: text().notNull(),
    priority: integer().notNull().default(0),
    attempt: integer().notNull().default(0),
    maxAttempts: integer().notNull().default(3),
    /** sha256 of the current attempt's token: the fencing token. Null when no attempt may write. */
    tokenHash: text(),
    leaseUntil: timestamp({ withTimezone: true }),
    cancelRequestedAt: timestamp({ withTimezone: true }),
    /** The next event's cursor; handed out under the row's lock, so cursors are dense. */
    nextCursor: bigint({ mode: 'number' }).notNull().default(1),
    /** Highest stored seq of the current attempt's runtime. */
    runtimeSeq: bigint({ mode: 'number' }).notNull().default(0),
    failure: jsonb().$type<Failure>(),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
    startedAt: timestamp({ withTimezone: true }),
    finishedAt: timestamp({ withTimezone: true }),
  },
  (t) => [
    unique('runs_idempotency').on(t.accountId, t.idempotencyKey),
    index('runs_waiting')
      .on(t.priority.desc(), t.createdAt)
      .where(sql`status in ('QUEUED', 'STARTING', 'RUNNING')`),
    index('runs_created').on(t.createdAt.desc(), t.id.desc()),
    index('runs_lead').on(t.leadId),
    check(
      'runs_status',
      sql`status in ('QUEUED', 'STARTING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED')`,
    ),
  ],
)

/** What INSPECT runs found. */
export const inspections = table('inspections', {
  runId: uuid()
    .primaryKey()
    .references(() => runs.id, { onDelete: 'cascade' }),
  preview: jsonb().$type<Preview>().notNull(),
})

export const artifacts = table(
  'artifacts',
  {
    id: uuid().primaryKey().defaultRandom(),
    /** Null for a file of an imported adapter, which `adapterId` names then. */
    runId: uuid().references(() => runs.id),
    adapterId: uuid().references((): AnyPgColumn => adapters.id),
    /** 0 for a file of an imported adapter. */
    attempt: integer().notNull(),
    kind: text({ enum: ['ADAPTER', 'CHECKPOINT'] }).notNull(),
    name: text().notNull(),
    step: integer(),
    sha256: text().notNull(),
    bytes: bigint({ mode: 'number' }).notNull(),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (t) => [
    index('artifacts_run').on(t.runId, t.kind),
    index('artifacts_adapter').on(t.adapterId),
    check('artifacts_owner', sql`(run_id is null) <> (adapter_id is null)`),
  ],
)
