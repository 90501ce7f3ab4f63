/** Which samples of two evaluations belong together, and what they say, counted where they are stored. */
import { sql } from 'drizzle-orm'
import type { Db } from '../database.ts'
import type { Paired } from './difference.ts'

/** Ids of evaluations. */
export type Pair = { readonly baseline: string; readonly candidate: string }

/**
 * Counts for each pair of evaluation ids, in the order given. Samples are paired by document where their hash agrees, which
 * means that both sides were asked the same; a sample without partner, with another hash or without a finite score is
 * left out and counted. One pass over the samples of each pair; `offset 0` keeps the planner from reading a score out of its
 * JSON anew for every aggregate (four times slower).
 */
export async function countPairs(
  db: Db,
  metric: string,
  pairs: readonly Pair[],
): Promise<Paired[]> {
  if (pairs.length === 0) return []
  const side = (id: 'baseline' | 'candidate') => sql`
    select document, hash, (scores ->> ${metric})::float8 as score from samples where evaluation_id = pair.${sql.raw(id)}`
  const { rows } = (await db.execute(sql`
    select counts.*
    from unnest(${sql.param(pairs.map((pair) => pair.baseline))}::uuid[],
                ${sql.param(pairs.map((pair) => pair.candidate))}::uuid[]) with ordinality as pair (baseline, candidate, i),
    lateral (
      select count(*) filter (where usable)::int as n,
             count(*) filter (where not usable)::int as "leftOut",
             avg(x) filter (where usable) as baseline,
             avg(y) filter (where usable) as candidate,
             count(*) filter (where usable and y > x)::int as gained,
             count(*) filter (where usable and y < x)::int as lost,
             stddev_samp(y - x) filter (where usable) as deviation,
             coalesce(bool_and(x in (0, 1) and y in (0, 1)) filter (where usable), false) as binary
      from (select b.score as x, c.score as y,
                   coalesce(b.hash = c.hash and b.score is not null and c.score is not null, false) as usable
            from (${side('baseline')}) b full join (${side('candidate')}) c using (document) offset 0) both_sides
    ) counts
    order by i`)) as unknown as { rows: Paired[] }
  return rows
}
