/** Taking work, and taking it back: the run rows are the queue, and row locks are its order. */
import { eq, sql } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import { query, type Db } from '../database.ts'
import { advance } from '../runs/advance.ts'
import { leaseOf } from '../runs/attempt.ts'
import { lose } from '../runs/lose.ts'
import type { Run } from '../runs/run.ts'
import { hashToken, makeToken } from '../runs/token.ts'

/** A run that is STARTING, and the only copy of what its attempt proves itself with. */
export type Claimed = {
  readonly run: Run
  /** Clear, only here and in the runtime's environment. */
  readonly token: string
}

/** Takes the first waiting run of some kinds that is not among `except` and gives its next attempt a lease. Two dispatchers never get the same run. */
export const claim = (
  db: Db,
  leaseSeconds: number,
  except: readonly string[] = [],
  kinds: readonly Run['kind'][] = runs.kind.enumValues,
): Promise<Claimed | null> =>
  db.transaction(async (tx) => {
    const [first] = await query<{ id: string }>(
      tx,
      sql`
      select id from runs
      where status = 'QUEUED' and cancel_requested_at is null and id <> all(${sql.param(except)}::uuid[])
        and kind = any(${sql.param(kinds)}::text[])
      order by priority desc, created_at, id limit 1 for no key update skip locked`,
    )
    if (first === undefined) return null
    const [run] = await tx.select().from(runs).where(eq(runs.id, first.id))
    const attempt = run!.attempt + 1
    const token = makeToken(run!.id, attempt)
    const change = { attempt, tokenHash: hashToken(token), leaseUntil: leaseOf(leaseSeconds) }
    return { run: await advance(tx, run!, 'STARTING', change), token }
  })

/** Takes runs from attempts that let their lease run out: back to the queue, or to their end. Returns them as they are now. */
export const reap = (db: Db): Promise<Run[]> =>
  db.transaction(async (tx) => {
    const late = await query<{ id: string }>(
      tx,
      sql`
      select id from runs where status in ('STARTING', 'RUNNING') and lease_until < clock_timestamp()
      order by lease_until limit 50 for no key update skip locked`,
    )
    const reaped: Run[] = []
    for (const { id } of late) {
      const [run] = await tx.select().from(runs).where(eq(runs.id, id))
      const message = `the runtime of attempt ${run!.attempt} let its lease run out`
      reaped.push(await lose(tx, run!, { code: 'RUNTIME_LOST', message }))
    }
    return reaped
  })
