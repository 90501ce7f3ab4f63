/** A run's gate: what its rules say of the comparison that it made. */
import { eq } from 'drizzle-orm'
import { comparisons } from '#schema/tables.ts'
import type { Db } from '../database.ts'
import { gateOf, type Gate } from '../evaluation/gate.ts'
import { comparedTasks, judge, unmeasured } from '../evaluation/judge.ts'
import { shares } from '../evaluation/sequential.ts'
import type { Run } from './run.ts'
import { decidedRules } from './sequential.ts'

/** Null without a gate, and until the run has succeeded. What could not be paired is UNDECIDED, and does not pass. */
export async function runGate(
  db: Db,
  { id, status, spec }: Pick<Run, 'id' | 'status' | 'spec'>,
): Promise<Gate | null> {
  if (spec.kind === 'INSPECT' || spec.gate === undefined || status !== 'SUCCEEDED') return null
  const [comparison] = await db
    .select({ id: comparisons.id })
    .from(comparisons)
    .where(eq(comparisons.runId, id))
  const found = comparison === undefined ? [] : await comparedTasks(db, comparison.id)
  const compared = unmeasured(spec.evaluate.map(({ settings }) => settings)).map((empty) => {
    const own = found.find(({ task }) => task === empty.task)
    return { ...empty, metrics: { ...empty.metrics, ...own?.metrics } }
  })
  if (spec.gate.sequential !== true) return judge(compared, spec.gate)
  // What was scored to the end is judged with the alpha that its looks have left.
  const decided = await decidedRules(db, { id, spec })
  const rules = spec.gate.rules.map((rule) => ({
    ...rule,
    alpha: shares({ alpha: rule.alpha, target: 'POPULATION' }).last,
  }))
  const { judgements } = judge(compared, { ...spec.gate, rules })
  return gateOf(judgements.map((last) => decided.get(last.rule.task!) ?? last))
}
