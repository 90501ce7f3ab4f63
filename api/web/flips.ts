/** The samples whose verdict differs between two evaluations, a page at a time. */
import { sql } from 'drizzle-orm'
import type { Db } from '../database.ts'

export type Flip = {
  readonly document: number
  readonly question: string
  readonly answers: readonly string[]
  readonly gold: number
  readonly baselinePicked: number
  readonly candidatePicked: number
  readonly gained: boolean
}

export const flipsPerPage = 20

/** Samples are paired as comparisons pair them: by document, where the hash agrees. In the order of the benchmark's rows. */
export async function readFlips(
  db: Db,
  { metric, baseline, candidate }: { metric: string; baseline: string; candidate: string },
  { show, page }: { show: 'all' | 'gained' | 'lost'; page: number },
): Promise<Flip[]> {
  const difference = sql`(c.scores ->> ${metric})::float8 - (b.scores ->> ${metric})::float8`
  const wanted = { all: sql`<> 0`, gained: sql`> 0`, lost: sql`< 0` }[show]
  const { rows } = (await db.execute(sql`
    select b.document, b.question, b.answers, b.gold, b.picked as "baselinePicked", c.picked as "candidatePicked",
           ${difference} > 0 as gained
    from samples b join samples c using (document, hash)
    where b.evaluation_id = ${baseline} and c.evaluation_id = ${candidate} and ${difference} ${wanted}
    order by b.document limit ${flipsPerPage} offset ${(page - 1) * flipsPerPage}`)) as unknown as {
    rows: Flip[]
  }
  return rows
}
