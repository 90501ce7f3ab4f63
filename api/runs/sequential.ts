/** Sequential gates: after each part of an evaluation, drawn at random, the pairs so far are looked at, and both sides end when they are enough. */
import { and, count, eq, isNotNull, isNull, sql } from 'drizzle-orm'
import type { EventBody } from '#schema/protocol.ts'
import type { GateClause } from '#schema/spec.ts'
import type { SequentialDecision } from '#schema/evaluations.ts'
import { evaluations, samples } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { entryOf } from '#schema/customTask.ts'
import type { Db } from '../database.ts'
import { boundOf, levelOf } from '../evaluation/verdict.ts'
import type { Judgement, Rule, Stopped } from '../evaluation/gate.ts'
import { reusable } from '../evaluation/reuse.ts'
import { sequentialVerdict, shares, type SequentialRule } from '../evaluation/sequential.ts'
import { metricOf } from '../evaluation/value.ts'
import { InvalidInput, type Issue } from '../problem.ts'
import { sequentialRule, type Run } from './run.ts'
import { openEvaluation, wrong } from './scored.ts'

type Asked = Parameters<typeof entryOf>[0]

const isWritten = ({ task, custom }: Asked): boolean =>
  custom === undefined ? tasks.get(task)?.kind === 'generate_until' : custom.kind === 'GENERATE'

/** InvalidInput for rules that no look can decide: of scores without bounds, and of answers that are written, which takes one side after the other. */
export function checkSequential({ sequential, rules }: GateClause, wanted: readonly Asked[]): void {
  if (sequential !== true) return
  const issues = rules.flatMap(({ task, metric }, i): Issue[] => {
    const asked = wanted.find((one) => one.task === task)!
    const named = metric ?? entryOf(asked)!.headline
    if (isWritten(asked))
      return [
        {
          path: ['rules', String(i), 'task'],
          message: `expected a task that is scored by likelihood with sequential, got ${task}, whose answers are written`,
        },
      ]
    if (metricOf(named).aggregate === 'MEAN') return []
    return [
      {
        path: ['rules', String(i), metric === null ? 'task' : 'metric'],
        message: `expected a metric whose scores lie in [0, 1] with sequential, got ${named}`,
      },
    ]
  })
  if (issues.length > 0) throw new InvalidInput(issues)
}

/**
 * Takes note of what was drawn and judges all pairs so far, in the order drawn: alpha holds over all looks in one order only. Once a
 * verdict is there before the last document, both sides have ended, whatever still comes. Nothing is decided where a drawn
 * document has no pair.
 */
export async function recordLook(
  tx: Db,
  run: Run,
  { key, documents }: EventBody<'look'>,
): Promise<void> {
  const candidate = await openEvaluation(tx, run, key)
  const rule = candidate === null ? null : sequentialRule(run.spec, candidate.task)
  if (candidate === null || candidate.adapterId === null || rule === null)
    throw wrong(key, 'expected looks at the adapter on a task of a sequential gate')
  if (candidate.decision !== null) return
  const drawn = [...(candidate.drawn ?? []), ...documents]
  if (new Set(drawn).size < drawn.length)
    throw wrong(key, 'expected each document to be drawn once')
  await tx.update(evaluations).set({ drawn }).where(eq(evaluations.id, candidate.id))
  const { baseModelId, settingsHash } = candidate
  const ofBase = and(
    eq(evaluations.runId, candidate.runId),
    eq(evaluations.settingsHash, settingsHash),
    isNull(evaluations.adapterId),
  )
  const [own] = await tx.select().from(evaluations).where(ofBase)
  const baseline = own ?? (await reusable(tx, { baseModelId, adapterId: null, settingsHash }))
  if (baseline === null) return
  const metric = rule.metric ?? entryOf(candidate.settings)!.headline
  const differences = await differencesOf(tx, metric, [baseline.id, candidate.id], drawn)
  if (differences === null || drawn.length >= candidate.documents) return
  const claim: SequentialRule = {
    ...rule,
    target: 'POPULATION',
    binary: metricOf(metric).binary && differences.every(Number.isInteger),
  }
  const { verdict, because, used, low, high } = sequentialVerdict(
    differences,
    candidate.documents,
    claim,
  )
  if (verdict === 'CONTINUE') return
  const difference = differences.reduce((sum, d) => sum + d, 0) / used
  const decision: SequentialDecision = { verdict, because: because!, used, difference, low, high }
  for (const { id, runId, finishedAt } of [baseline, candidate])
    if (runId === candidate.runId && finishedAt === null)
      await tx
        .update(evaluations)
        .set({ decision, stoppedEarly: true })
        .where(eq(evaluations.id, id))
}

/** Candidate minus baseline, in the order of `drawn`; null where one has no pair, or no scores in [0, 1]. */
async function differencesOf(
  tx: Db,
  metric: string,
  [baseline, candidate]: readonly [string, string],
  drawn: readonly number[],
): Promise<number[] | null> {
  const { rows } = (await tx.execute(sql`
    select b.document, (c.scores ->> ${metric})::float8 - (b.scores ->> ${metric})::float8 as difference
    from samples b join samples c using (document)
    where b.evaluation_id = ${baseline} and c.evaluation_id = ${candidate} and b.hash = c.hash`)) as unknown as {
    rows: { document: number; difference: number | null }[]
  }
  const by = new Map(rows.map(({ document, difference }) => [document, difference]))
  const differences = drawn.map((document) => by.get(document) ?? null)
  return differences.every((d) => d !== null && Math.abs(d) <= 1) ? (differences as number[]) : null
}

/** Keys of the run's orders that need no more documents. */
export async function enoughOf(tx: Db, { id, spec }: Run): Promise<string[]> {
  if (spec.kind === 'INSPECT' || spec.gate?.sequential !== true) return []
  const stopped = await tx
    .select({ key: evaluations.key })
    .from(evaluations)
    .where(and(eq(evaluations.runId, id), eq(evaluations.stoppedEarly, true)))
  return stopped.map(({ key }) => key)
}

/** Judgements of the rules that were decided before the last document, by task. */
export async function decidedRules(
  db: Db,
  { id, spec }: Pick<Run, 'id' | 'spec'>,
): Promise<Map<string, Judgement>> {
  const decided = await db
    .select({
      task: evaluations.task,
      settings: evaluations.settings,
      documents: evaluations.documents,
      decision: evaluations.decision,
      scored: count(samples.document),
    })
    .from(evaluations)
    .leftJoin(samples, eq(samples.evaluationId, evaluations.id))
    .where(
      and(
        eq(evaluations.runId, id),
        isNotNull(evaluations.decision),
        isNotNull(evaluations.adapterId),
      ),
    )
    .groupBy(evaluations.id)
  return new Map(
    decided.flatMap(({ task, settings, documents, decision, scored }) => {
      const rule = sequentialRule(spec, task)
      if (rule === null || decision === null) return []
      const stopped = {
        because: decision.because,
        used: decision.used,
        saved: documents - scored,
      }
      return [
        [
          task,
          judgementOf(
            { ...rule, metric: rule.metric ?? entryOf(settings)!.headline },
            decision,
            documents,
            stopped,
          ),
        ] as const,
      ]
    }),
  )
}

function judgementOf(
  rule: Rule & { readonly alpha: number },
  { verdict, because, used, difference, low, high }: SequentialDecision,
  documents: number,
  stopped: Stopped,
): Judgement {
  const { looks } = shares({ alpha: rule.alpha, target: 'POPULATION' })
  const level = levelOf({ alpha: looks })
  const bound = boundOf(rule)
  const shown = (value: number) => (value > 0 ? '+' : '') + String(Number(value.toFixed(4)))
  const why =
    because === 'CERTAIN'
      ? 'no scores of the others can change it'
      : `the difference is ${verdict === 'PASS' ? 'above' : 'not above'} ${shown(bound)}`
  return {
    rule,
    verdict,
    n: used,
    leftOut: 0,
    difference,
    low,
    high,
    level,
    pValue: null,
    detectable: null,
    needed: null,
    reason:
      `${verdict} ${rule.task} ${rule.metric}: difference ${shown(difference)}, ${Number((100 * level).toFixed(4))}% interval over all looks ` +
      `${shown(low)} to ${shown(high)}: ${why}; stopped after ${used} of ${documents} documents, ${stopped.saved} saved`,
    stopped,
  }
}
