/** The samples of an evaluation, page by page: however many there are, one page is held. */
import { and, asc, eq, gt } from 'drizzle-orm'
import { samples } from '#schema/tables.ts'
import type { Db } from '../database.ts'

export type StoredSample = typeof samples.$inferSelect

const pageSize = 500

/** In the order of their documents. */
export async function* samplePages(db: Db, evaluationId: string): AsyncGenerator<StoredSample[]> {
  let last = -1
  for (;;) {
    const page = await db
      .select()
      .from(samples)
      .where(and(eq(samples.evaluationId, evaluationId), gt(samples.document, last)))
      .orderBy(asc(samples.document))
      .limit(pageSize)
    if (page.length > 0) yield page
    if (page.length < pageSize) return
    last = page.at(-1)!.document
  }
}
