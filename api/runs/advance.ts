/** The run state machine at work. Every status change in the system goes through `advance`. */
import { eq, sql, type SQL } from 'drizzle-orm'
import { isTerminal, mayFollow, type RunStatus } from '#schema/lifecycle.ts'
import type { Failure } from '#schema/runs.ts'
import { runs } from '#schema/tables.ts'
import { queueTopic, ring } from '../bell.ts'
import type { Db } from '../database.ts'
import { Conflict } from '../problem.ts'
import { append } from './events.ts'
import type { Run } from './run.ts'

/** What changes with the status; what is absent stays, except that a lease ends with activity. */
export type Change = {
  /** For people: why, where the statuses alone do not say it. */
  readonly reason?: string
  readonly failure?: Failure
  readonly attempt?: number
  readonly maxAttempts?: number
  /** Null: nobody may write any more. Absent: a post that is repeated after the end still gets its answer. */
  readonly tokenHash?: string | null
  readonly leaseUntil?: SQL
}

/** Changes the status and appends the `status` event. The caller holds the run's lock; `run` is as read under it. */
export async function advance(tx: Db, run: Run, to: RunStatus, change: Change = {}): Promise<Run> {
  if (!mayFollow(run.status, to))
    throw new Conflict(`run ${run.id} is ${run.status}; it cannot become ${to}`)
  const { reason, failure, attempt, maxAttempts, tokenHash, leaseUntil } = change
  const active = to === 'STARTING' || to === 'RUNNING'
  const [next] = await tx
    .update(runs)
    .set({
      status: to,
      ...(attempt !== undefined && { attempt, runtimeSeq: 0 }),
      ...(maxAttempts !== undefined && { maxAttempts }),
      ...(tokenHash !== undefined && { tokenHash }),
      ...(leaseUntil !== undefined && { leaseUntil }),
      ...(!active && { leaseUntil: null }),
      ...(failure !== undefined && to === 'FAILED' && { failure }),
      ...(to === 'RUNNING' && run.startedAt === null && { startedAt: sql`now()` }),
      ...(isTerminal(to) && { finishedAt: sql`now()` }),
    })
    .where(eq(runs.id, run.id))
    .returning()
  const body = {
    from: run.status,
    to,
    attempt: next!.attempt,
    ...(reason && { reason }),
    ...(failure && { failure }),
  }
  await append(tx, next!, [{ source: 'API', type: 'status', body }])
  if (to === 'QUEUED') await tx.execute(ring(queueTopic))
  return next!
}
