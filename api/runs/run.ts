/** The run row, and how to hold it: whoever changes a run holds its lock first. */
import { eq } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { NotFound } from '../problem.ts'

/** A row as it was read: still true only under its lock. */
export type Run = typeof runs.$inferSelect

/** Locks the row until the transaction ends. */
export async function lockRun(tx: Db, id: string): Promise<Run> {
  const [run] = await tx.select().from(runs).where(eq(runs.id, id)).for('update')
  if (run === undefined) throw new NotFound(`no run ${id}`)
  return run
}

/** Does an attempt have the run: may a runtime write to it? */
export const isActive = (run: Run): boolean => run.status === 'STARTING' || run.status === 'RUNNING'
