/** Following a run: what happened after a cursor, then what happens. */
import { and, asc, eq, gt } from 'drizzle-orm'
import { isTerminal, type RunStatus } from '#schema/lifecycle.ts'
import { events, runs } from '#schema/tables.ts'
import { runTopic } from '../bell.ts'
import type { Context } from '../context.ts'
import { NotFound } from '../problem.ts'

/** An event with its cursor, which orders the events of its run. */
export type StoredEvent = typeof events.$inferSelect

const page = 500

/**
 * Every event with a cursor above `after`, once and in order; ends after the status event that ends the run, or with the signal.
 * A subscriber that comes back with the last cursor it saw misses nothing, on any api.
 */
export async function* tail(
  ctx: Pick<Context, 'db' | 'bell'>,
  runId: string,
  { after, signal }: { readonly after: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<StoredEvent, void, undefined> {
  // Listening starts before reading: what is committed in between rings.
  const ear = ctx.bell.listen(runTopic(runId))
  let cursor = after
  try {
    while (signal?.aborted !== true) {
      // The status is read before the events: if it is terminal here, its event is among them.
      const [run] = await ctx.db
        .select({ status: runs.status })
        .from(runs)
        .where(eq(runs.id, runId))
      if (run === undefined) throw new NotFound(`no run ${runId}`)
      const news = await ctx.db
        .select()
        .from(events)
        .where(and(eq(events.runId, runId), gt(events.cursor, cursor)))
        .orderBy(asc(events.cursor))
        .limit(page)
      for (const event of news) {
        if (signal?.aborted) return
        cursor = event.cursor
        yield event
        if (endsRun(event)) return
      }
      if (news.length === 0 && isTerminal(run.status)) return
      if (news.length < page) await ear.wait({ signal, timeout: 5000 })
    }
  } finally {
    ear.close()
  }
}

const endsRun = ({ type, source, body }: StoredEvent): boolean =>
  source === 'API' && type === 'status' && isTerminal(body['to'] as RunStatus)
