/** Who may write to a run: the holder of its current attempt's token, and nobody else. */
import { eq, sql } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { Conflict, Unauthorized } from '../problem.ts'
import { isActive, type Run } from './run.ts'
import { parseToken, sameHash } from './token.ts'

/**
 * The run of a token, locked in the caller's transaction. Unauthorized for what never was a token of a run; Conflict when the
 * attempt has lost the run: its runtime must stop.
 */
export async function holdAttempt(tx: Db, clear: string): Promise<Run> {
  const token = parseToken(clear)
  if (token === null) throw new Unauthorized('expected an attempt token')
  const [run] = await tx.select().from(runs).where(eq(runs.id, token.runId)).for('no key update')
  if (run === undefined || token.attempt > run.attempt)
    throw new Unauthorized('no such attempt token')
  if (sameHash(run.tokenHash, token.hash)) return run
  if (token.attempt === run.attempt && run.tokenHash !== null)
    throw new Unauthorized('no such attempt token')
  throw stale(run, token.attempt)
}

/** `holdAttempt`, for what only makes sense while the attempt runs. */
export async function holdActiveAttempt(tx: Db, clear: string): Promise<Run> {
  const run = await holdAttempt(tx, clear)
  if (!isActive(run)) throw stale(run, run.attempt)
  return run
}

/** Every accepted word of a runtime extends its lease. The caller holds the run's lock. */
export const renew = (tx: Db, run: Pick<Run, 'id'>, seconds: number) =>
  tx
    .update(runs)
    .set({ leaseUntil: leaseOf(seconds) })
    .where(eq(runs.id, run.id))

/** By the database's clock, which all apis share. */
export const leaseOf = (seconds: number) =>
  sql`clock_timestamp() + make_interval(secs => ${seconds})`

const stale = (run: Run, attempt: number) =>
  new Conflict(
    `attempt ${attempt} no longer has run ${run.id}, which is ${run.status} at attempt ${run.attempt}`,
  )
