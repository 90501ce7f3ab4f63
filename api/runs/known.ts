/** Which documents of an evaluation need no computing: their samples are there, or are copied from where they are. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import { KnownQuestion, type KnownAnswer } from '#schema/protocol.ts'
import { samples } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { sampleKey } from '../evaluation/answersKey.ts'
import { InvalidInput } from '../problem.ts'
import type { Run } from './run.ts'
import { openEvaluation } from './scored.ts'

/** InvalidInput with the place of everything that is wrong. */
export function parseQuestion(text: string): KnownQuestion {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new InvalidInput([{ path: [], message: `expected JSON: ${(cause as Error).message}` }])
  }
  const parsed = KnownQuestion.safeParse(json)
  if (parsed.success) return parsed.data
  throw new InvalidInput(
    parsed.error.issues
      .slice(0, 20)
      .map(({ path, message }) => ({ path: path.map(String), message })),
  )
}

/**
 * Samples that an earlier attempt stored stay where they still answer the same; others go. Missing ones are copied from any evaluation
 * under equal keys, whoever made it and whether or not it was finished. The caller holds the attempt.
 */
export async function known(
  tx: Db,
  run: Run,
  { key, documents }: KnownQuestion,
): Promise<KnownAnswer> {
  const evaluation = await openEvaluation(tx, run, key)
  const asked = documents.map(({ document }) => document)
  if (evaluation === null) return { known: asked }
  const { id, answersKey: answers } = evaluation
  if (answers === null) return { known: [] }
  const wanted = new Map(
    documents.map(({ document, content }) => [document, sampleKey(answers, content)]),
  )
  const list = sql`jsonb_to_recordset(${JSON.stringify(
    [...wanted].map(([document, key]) => ({ document, key })),
  )}::jsonb) as wanted(document int, key text)`
  await tx.execute(sql`
    delete from samples using ${list}
    where samples.evaluation_id = ${id} and samples.document = wanted.document
      and samples.key is distinct from wanted.key`)
  await tx.execute(sql`
    insert into samples (evaluation_id, document, hash, key, gold, picked, choices, scores, weights, question, answers, response)
    select ${id}, wanted.document, s.hash, s.key, s.gold, s.picked, s.choices, s.scores, s.weights, s.question, s.answers, s.response
    from ${list} cross join lateral (
      select * from samples where samples.key = wanted.key and samples.evaluation_id <> ${id} limit 1) s
    on conflict (evaluation_id, document) do nothing`)
  const there = await tx
    .select({ document: samples.document })
    .from(samples)
    .where(and(eq(samples.evaluationId, id), inArray(samples.document, asked)))
  return { known: there.map(({ document }) => document) }
}
