/** The samples whose score differs between two evaluations: what became better, what worse, and by how much. */
import { sql } from 'drizzle-orm'
import type { samples } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import type { Pair } from './pairs.ts'

type Choices = (typeof samples.$inferSelect)['choices']

/** What one side made of the question. */
export type Side = {
  readonly score: number
  readonly picked: number | null
  /** What it wrote; null where it chose. */
  readonly response: string | null
  /**
   * The log-likelihood of the right choice less that of the likeliest other, in nats: below 0 it was not the likeliest. Null where
   * there is nothing to choose, or one of the two is not finite.
   */
  readonly margin: number | null
}

export type Flip = {
  readonly document: number
  readonly question: string
  readonly answers: readonly string[]
  readonly gold: number | null
  readonly baseline: Side
  readonly candidate: Side
  /** Whether the candidate scored higher. */
  readonly gained: boolean
}

/** Whose score became higher, or lower. */
export type Direction = 'GAINED' | 'LOST'

type Row = Omit<Flip, 'baseline' | 'candidate'> &
  Record<'before' | 'after', Omit<Side, 'margin'> & { readonly choices: Choices }>

/**
 * Samples are paired as comparisons pair them: by document, where the hash agrees. The largest change first, equal ones in the order
 * of the benchmark's rows.
 */
export async function readFlips(
  db: Db,
  metric: string,
  { baseline, candidate }: Pair,
  {
    direction,
    limit,
    offset,
  }: { readonly direction: Direction | null; readonly limit: number; readonly offset: number },
): Promise<Flip[]> {
  const score = (side: 'b' | 'c') => sql`(${sql.raw(side)}.scores ->> ${metric})::float8`
  const wanted = { ALL: sql`<> 0`, GAINED: sql`> 0`, LOST: sql`< 0` }[direction ?? 'ALL']
  const said = (side: 'b' | 'c') => sql`jsonb_build_object(
    'score', ${score(side)}, 'picked', ${sql.raw(side)}.picked, 'response', ${sql.raw(side)}.response, 'choices', ${sql.raw(side)}.choices)`
  const { rows } = (await db.execute(sql`
    select b.document, b.question, b.answers, b.gold, ${said('b')} as before, ${said('c')} as after,
           ${score('c')} > ${score('b')} as gained
    from samples b join samples c using (document, hash)
    where b.evaluation_id = ${baseline} and c.evaluation_id = ${candidate} and ${score('c')} - ${score('b')} ${wanted}
    order by abs(${score('c')} - ${score('b')}) desc, b.document limit ${limit} offset ${offset}`)) as unknown as {
    rows: Row[]
  }
  return rows.map(({ before, after, ...flip }) => ({
    ...flip,
    baseline: sideOf(before, flip.gold),
    candidate: sideOf(after, flip.gold),
  }))
}

const sideOf = ({ choices, ...said }: Row['before'], gold: number | null): Side => ({
  ...said,
  margin: marginOf(choices, gold),
})

/** Of the choice `gold` over the likeliest other. */
export function marginOf(choices: Choices, gold: number | null): number | null {
  const right = gold === null ? undefined : choices[gold]?.logLikelihood
  const others = choices.flatMap(({ logLikelihood }, i) =>
    i === gold || logLikelihood === null ? [] : [logLikelihood],
  )
  return right == null || others.length === 0 ? null : right - Math.max(...others)
}
