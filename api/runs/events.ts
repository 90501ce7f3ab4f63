/** Appending to a run's log. Cursors are dense: they come from the run row's counter, under the row's lock. */
import { eq, sql } from 'drizzle-orm'
import { events, runs } from '#schema/tables.ts'
import { ring, runTopic } from '../bell.ts'
import type { Db } from '../database.ts'
import type { Run } from './run.ts'

/** Who says it. */
export type Source = (typeof events.$inferSelect)['source']

/** An event before it has a cursor. `at` is now unless told. */
export type NewEvent = {
  readonly source: Source
  /** Within (run, attempt, source); absent for sources that never repeat themselves, whose cursor serves. */
  readonly seq?: number
  readonly type: string
  readonly at?: Date
  readonly body: Record<string, unknown>
}

/** The caller holds the run's lock. Rings the run's bell when the transaction commits. */
export async function append(
  tx: Db,
  run: Pick<Run, 'id' | 'attempt'>,
  news: readonly NewEvent[],
): Promise<void> {
  if (news.length === 0) return
  const [counter] = await tx
    .update(runs)
    .set({ nextCursor: sql`${runs.nextCursor} + ${news.length}` })
    .where(eq(runs.id, run.id))
    .returning({ next: runs.nextCursor })
  const first = counter!.next - news.length
  await tx.insert(events).values(
    news.map(({ source, seq, type, at, body }, i) => ({
      runId: run.id,
      cursor: first + i,
      attempt: run.attempt,
      source,
      sourceSeq: seq ?? first + i,
      type,
      at: at ?? new Date(),
      body,
    })),
  )
  await tx.execute(ring(runTopic(run.id)))
}
