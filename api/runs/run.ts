/** The run row, and how to hold it: whoever changes a run holds its lock first. */
import type { GateClause, RunSpec } from '#schema/spec.ts'
import { eq, sql, type SQL } from 'drizzle-orm'
import type { AnyPgColumn } from 'drizzle-orm/pg-core'
import type { EvaluateSpec } from '#schema/spec.ts'
import { runs } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { NotFound } from '../problem.ts'

/** A row as it was read: still true only under its lock. */
export type Run = typeof runs.$inferSelect

/**
 * Locks the row until the transaction ends. Not against those who only refer to it: a shard that writes looks at its lead, whose own
 * post may be waiting for what the shard holds.
 */
export async function lockRun(tx: Db, id: string): Promise<Run> {
  const [run] = await tx.select().from(runs).where(eq(runs.id, id)).for('no key update')
  if (run === undefined) throw new NotFound(`no run ${id}`)
  return run
}

/** The run that has its evaluations: itself, or of shards the first that was made. */
export const leadOf = ({ id, leadId }: Pick<Run, 'id' | 'leadId'>): string => leadId ?? id

/** Which part of its evaluations a run scores; null for all of them. */
export const shardOf = ({ spec }: Pick<Run, 'spec'>): EvaluateSpec['shard'] =>
  // Runs that are older than this have no such word in their spec.
  spec.kind === 'EVALUATE' ? ((spec.shard as EvaluateSpec['shard'] | undefined) ?? null) : null

/** The suites that a run was asked for. */
export const suiteNames = ({ spec }: Pick<Run, 'spec'>): readonly string[] =>
  spec.kind === 'INSPECT' ? [] : (spec.suites ?? [])

/** The index of the shard as something to order by. */
export const byShard = (spec: AnyPgColumn): SQL => sql`(${spec}->'shard'->>'index')::int`

/** Does an attempt have the run: may a runtime write to it? */
export const isActive = (run: Run): boolean => run.status === 'STARTING' || run.status === 'RUNNING'

/** The rule under which a task of the run may end early; null without a sequential gate, and for tasks that it says nothing of. */
export function sequentialRule(spec: RunSpec, task: string): GateClause['rules'][number] | null {
  if (spec.kind === 'INSPECT' || spec.gate?.sequential !== true) return null
  return spec.gate.rules.find((rule) => rule.task === task) ?? null
}
