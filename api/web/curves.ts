/** A run's curves, thinned where they are stored. */
import { sql } from 'drizzle-orm'
import type { Db } from '../database.ts'

export type Point = { readonly step: number; readonly value: number }
export type Curves = ReadonlyMap<string, readonly Point[]>

/** More points than a chart has pixels. */
export const mostPoints = 600

/**
 * All finite points of a run by metric name, steps ascending. A longer curve comes as the means of `mostPoints` equal parts, each
 * at its last step; a shorter one comes as it is.
 */
export async function readCurves(db: Db, runId: string): Promise<Curves> {
  const { rows } = (await db.execute(sql`
    select name, max(step) as step, avg(value) as value
    from (select name, step, value, ntile(${mostPoints}) over (partition by name order by step) as part
          from metrics where run_id = ${runId} and value is not null) parts
    group by name, part order by name, part`)) as unknown as { rows: (Point & { name: string })[] }
  return new Map([...Map.groupBy(rows, (row) => row.name)].map(([name, points]) => [name, points]))
}
