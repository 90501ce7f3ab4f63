/** What was measured once need not be measured again. */
import { and, desc, eq, isNotNull, isNull } from 'drizzle-orm'
import { evaluations } from '#schema/tables.ts'
import type { Db } from '../database.ts'

/** The row: one subject on one task, finished or not. */
export type Evaluation = typeof evaluations.$inferSelect

/** A score by what it means, whichever run made it. */
export type Wanted = {
  readonly baseModelId: string
  /** Null: the base model itself. */
  readonly adapterId: string | null
  readonly settingsHash: string
}

/** The newest finished evaluation of this subject under these settings, by whatever run; null where there is none. */
export async function reusable(
  db: Db,
  { baseModelId, adapterId, settingsHash }: Wanted,
): Promise<Evaluation | null> {
  const [found] = await db
    .select()
    .from(evaluations)
    .where(
      and(
        eq(evaluations.baseModelId, baseModelId),
        adapterId === null ? isNull(evaluations.adapterId) : eq(evaluations.adapterId, adapterId),
        eq(evaluations.settingsHash, settingsHash),
        isNotNull(evaluations.finishedAt),
      ),
    )
    .orderBy(desc(evaluations.finishedAt), desc(evaluations.id))
    .limit(1)
  return found ?? null
}
