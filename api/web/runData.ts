/** Everything that a run's page shows, read together. */
import { and, desc, eq, inArray } from 'drizzle-orm'
import type { EventBody } from '#schema/protocol.ts'
import { events } from '#schema/tables.ts'
import type { Context } from '../context.ts'
import { runGate } from '../runs/verdict.ts'
import { readCurves } from './curves.ts'

export type RunData = NonNullable<Awaited<ReturnType<typeof readRun>>>

const lastLines = 200

/** Null where there is no such run. */
export async function readRun(ctx: Pick<Context, 'db'>, id: string) {
  const run = await ctx.db.query.runs.findFirst({
    where: { id },
    with: {
      account: true,
      baseModel: true,
      dataset: true,
      adapter: true,
      evaluated: true,
      comparison: { with: { tasks: { orderBy: { task: 'asc', metric: 'asc' } } } },
      evaluations: { with: { scores: true, adapter: true }, orderBy: { createdAt: 'asc' } },
    },
  })
  if (run === undefined) return null
  const [curves, lines, progress, started, dataset, cuts, gate] = await Promise.all([
    readCurves(ctx.db, id),
    readLog(ctx, id),
    newest(ctx, id, 'progress'),
    newest(ctx, id, 'started'),
    newest(ctx, id, 'dataset'),
    newest(ctx, id, 'cuts'),
    runGate(ctx.db, run),
  ])
  return { run, curves, lines, progress, started, dataset, cuts, gate }
}

export type Line = {
  readonly at: Date
  readonly level: string
  readonly source: string
  readonly message: string
}

/** The newest lines, oldest first: what was logged, and every change of status. */
async function readLog(ctx: Pick<Context, 'db'>, runId: string): Promise<Line[]> {
  const rows = await ctx.db
    .select()
    .from(events)
    .where(and(eq(events.runId, runId), inArray(events.type, ['log', 'status', 'failed'])))
    .orderBy(desc(events.cursor))
    .limit(lastLines)
  return rows.reverse().map(({ at, source, type, body }) => ({
    at,
    source: source.toLowerCase(),
    level: type === 'failed' ? 'error' : text(body['level'], 'info'),
    message:
      type === 'status' ? `— ${text(body['to'], '').toLowerCase()}` : text(body['message'], ''),
  }))
}

/** The newest event of a type that the runtime sent, whose body ingest has checked. */
async function newest<T extends 'progress' | 'started' | 'dataset' | 'cuts'>(
  ctx: Pick<Context, 'db'>,
  runId: string,
  type: T,
): Promise<EventBody<T> | null> {
  const [row] = await ctx.db
    .select()
    .from(events)
    .where(and(eq(events.runId, runId), eq(events.source, 'RUNTIME'), eq(events.type, type)))
    .orderBy(desc(events.cursor))
    .limit(1)
  return (row?.body ?? null) as EventBody<T> | null
}

const text = (value: unknown, otherwise: string): string =>
  typeof value === 'string' ? value : otherwise
