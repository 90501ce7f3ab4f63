/** Cancelling is a request: a waiting run ends at once, a running one when its runtime has said goodbye or was killed. */
import { eq, sql } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import { queueTopic, ring } from '../bell.ts'
import type { Actor, Context } from '../context.ts'
import { Conflict } from '../problem.ts'
import { advance } from './advance.ts'
import { append } from './events.ts'
import { lockRun, type Run } from './run.ts'

/** Asking twice is asking once; a run that has ended otherwise is a Conflict. */
export async function cancelRun(ctx: Context, actor: Actor, id: string): Promise<Run> {
  return ctx.db.transaction(async (tx) => {
    const run = await lockRun(tx, id)
    if (run.status === 'CANCELED' || run.cancelRequestedAt !== null) return run
    if (run.status === 'SUCCEEDED' || run.status === 'FAILED') {
      throw new Conflict(
        `run ${id} is ${run.status}; only QUEUED, STARTING or RUNNING runs can be canceled`,
      )
    }
    const [asked] = await tx
      .update(runs)
      .set({ cancelRequestedAt: sql`now()` })
      .where(eq(runs.id, id))
      .returning()
    await append(tx, run, [{ source: 'API', type: 'cancel', body: { accountId: actor.accountId } }])
    if (run.status === 'QUEUED') return advance(tx, asked!, 'CANCELED', { tokenHash: null })
    await tx.execute(ring(queueTopic))
    return asked!
  })
}
