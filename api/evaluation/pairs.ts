/** Which samples of two evaluations belong together, and what they say, counted where they are stored. */
import { sql } from 'drizzle-orm'
import type { Db } from '../database.ts'
import type { Paired } from './difference.ts'
import type { PairedScores } from './paired.ts'
import { metricOf } from './value.ts'

/** Ids of evaluations. */
export type Pair = { readonly baseline: string; readonly candidate: string }

/**
 * Counts for each pair of evaluation ids, in the order given. Samples are paired by document where their hash agrees, which
 * means that both sides were asked the same; a sample without partner, with another hash or without a finite score is
 * left out and counted. Weighted scores are counted as `pairedOf` does. One pass over the samples of each pair; `offset 0` keeps
 * the planner from reading a score out of its JSON anew for every aggregate (four times slower).
 */
export async function countPairs(
  db: Db,
  metric: string,
  pairs: readonly Pair[],
): Promise<Paired[]> {
  if (pairs.length === 0) return []
  const side = (id: 'before' | 'after') => sql`
    select document, hash, (scores ->> ${metric})::float8 as score, coalesce((weights ->> ${metric})::float8, 1) as weight
    from samples where evaluation_id = pair.${sql.raw(id)}`
  const { rows } = (await db.execute(sql`
    select n, "leftOut", baseline, candidate, gained, lost, counts.binary,
           -- with weights, of the residuals d - D·weight over the mean weight
           case when plain then spread
                when n > 1 then sqrt(greatest(0, dd - 2 * (candidate - baseline) * dw + (candidate - baseline) ^ 2 * ww) / (n - 1)) * n / size
           end as deviation
    from unnest(${sql.param(pairs.map((pair) => pair.baseline))}::uuid[],
                ${sql.param(pairs.map((pair) => pair.candidate))}::uuid[]) with ordinality as pair (before, after, i),
    lateral (
      select count(*) filter (where usable)::int as n,
             count(*) filter (where not usable)::int as "leftOut",
             sum(w) filter (where usable) as size,
             sum(x) filter (where usable) / sum(w) filter (where usable) as baseline,
             sum(y) filter (where usable) / sum(w) filter (where usable) as candidate,
             sum((y - x) ^ 2) filter (where usable) as dd,
             sum((y - x) * w) filter (where usable) as dw,
             sum(w ^ 2) filter (where usable) as ww,
             count(*) filter (where usable and y > x)::int as gained,
             count(*) filter (where usable and y < x)::int as lost,
             stddev_samp(y - x) filter (where usable) as spread,
             coalesce(bool_and(w = 1) filter (where usable), true) as plain,
             coalesce(bool_and(x in (0, 1) and y in (0, 1) and w = 1) filter (where usable), false) as binary
      from (select b.score as x, c.score as y, b.weight as w,
                   coalesce(b.hash = c.hash and b.score is not null and c.score is not null, false) as usable
            from (${side('before')}) b full join (${side('after')}) c using (document) offset 0) both_sides
    ) counts
    order by i`)) as unknown as { rows: Paired[] }
  const bounded = metricOf(metric).aggregate === 'MEAN'
  return rows.map((paired) => ({ ...paired, bounded }))
}

/**
 * The same pairs one by one, in the order of documents; scores of documents that have no pair are null. `seen` says which documents
 * share words with what either side was trained on; null where nobody looked.
 */
export async function readPairs(
  db: Db,
  metric: string,
  { baseline, candidate }: Pair,
): Promise<PairedScores & { readonly seen: readonly boolean[] | null }> {
  const side = (id: string) => sql`
    select document, hash, (scores ->> ${metric})::float8 as score, (weights ->> ${metric})::float8 as weight, contamination
    from samples where evaluation_id = ${id}`
  const { rows } = (await db.execute(sql`
    select case when b.hash = c.hash then b.score end as x, case when b.hash = c.hash then c.score end as y,
           coalesce(b.weight, 1) as w, greatest(b.contamination, c.contamination) as seen
    from (${side(baseline)}) b full join (${side(candidate)}) c using (document)
    order by document`)) as unknown as {
    rows: { x: number | null; y: number | null; w: number; seen: number | null }[]
  }
  const weighted = rows.some(({ w }) => w !== 1)
  return {
    baseline: rows.map(({ x }) => x),
    candidate: rows.map(({ y }) => y),
    ...(weighted ? { weights: rows.map(({ w }) => w) } : {}),
    bounded: metricOf(metric).aggregate === 'MEAN',
    seen: rows.some(({ seen }) => seen !== null) ? rows.map(({ seen }) => (seen ?? 0) > 0) : null,
  }
}
