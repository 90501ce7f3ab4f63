/** Suites: the tasks that they stand for when a run is asked for, and what they came to. */
import { eq } from 'drizzle-orm'
import { membersOf, suites } from '#schema/suites.ts'
import { adapters, baseModels } from '#schema/tables.ts'
import { canonical } from '../canonical.ts'
import type { Db } from '../database.ts'
import { settingsHash } from '../evaluation/settings.ts'
import { suiteResult, type SuiteResult } from '../evaluation/suiteResult.ts'
import { scoresUnder, type ScoredSubject } from '../evaluation/suiteScores.ts'
import { summarizeSuites } from '../evaluation/summary.ts'
import { InvalidInput, type Issue } from '../problem.ts'
import { CustomTask } from '#schema/customTask.ts'
import type { CustomInput, HubRows, SuiteInput, TaskInput } from './input.ts'
import { adapterOf } from './job.ts'
import { suiteNames, type Run } from './run.ts'

/** A task that a run is asked for, and where in the input. */
export type Wanted = TaskInput & {
  readonly at: readonly string[]
  readonly rowsOf?: string
  readonly notRowsOf?: string
  /** Declared by the run itself, its rows perhaps on the Hub. */
  readonly custom?: CustomTask
  readonly dataset?: HubRows | undefined
}

/**
 * Tasks and those of suites, each once: two that ask for the same in the same way are one. InvalidInput where they ask in
 * different ways; `at` is where the two lists are.
 */
export function wantedTasks(
  asked: {
    readonly tasks?: readonly TaskInput[] | undefined
    readonly suites?: readonly SuiteInput[] | undefined
    readonly custom?: readonly CustomInput[] | undefined
  },
  at: readonly string[],
): Wanted[] {
  const all = [
    ...(asked.tasks ?? []).map((task, i): Wanted => ({ ...task, at: [...at, 'tasks', String(i)] })),
    ...(asked.suites ?? []).flatMap(({ suite, ...settings }, i) =>
      membersOf(suites.get(suite)!).map((member): Wanted => ({
        ...settings,
        ...member,
        at: [...at, 'suites', String(i)],
      })),
    ),
    ...(asked.custom ?? []).map((input, i) => declared(input, [...at, 'custom', String(i)])),
  ]
  const issues: Issue[] = []
  const wanted = new Map<string, Wanted>()
  for (const one of all) {
    const before = wanted.get(one.task)
    if (before === undefined) wanted.set(one.task, one)
    else if (!same(before, one))
      issues.push({
        path: [...one.at],
        message: `expected each task in one way, got ${one.task} in another at ${before.at.join('.')}; use a run for each`,
      })
  }
  if (issues.length > 0) throw new InvalidInput(issues)
  return [...wanted.values()]
}

function declared(
  {
    name: task,
    limit,
    fewShot,
    fewShotSeed,
    chatTemplate,
    fewShotAsMultiturn,
    systemInstruction,
    rows,
    dataset,
    examples,
    bos,
    ...custom
  }: CustomInput,
  at: readonly string[],
): Wanted {
  return {
    task,
    dialect: 'LM_EVAL',
    limit,
    fewShot,
    fewShotSeed,
    chatTemplate,
    fewShotAsMultiturn,
    systemInstruction,
    rows,
    dataset,
    examples,
    bos,
    custom,
    at,
  }
}

const same = ({ at: _, ...one }: Wanted, { at: __, ...other }: Wanted): boolean =>
  canonical(one) === canonical(other)

/** One subject of a run, and its results on the suites that the run was asked for. */
export type SubjectResults = ScoredSubject & { readonly results: readonly SuiteResult[] }

/** Their results as LLM AutoEval's summary; null without suites. */
export async function runSummary(db: Db, run: Run): Promise<string | null> {
  const subjects = await runSuiteResults(db, run)
  if (subjects.length === 0) return null
  const named = subjects.map(async ({ baseModelId, adapterId, results }) => {
    const [row] =
      adapterId === null
        ? await db.select().from(baseModels).where(eq(baseModels.id, baseModelId))
        : await db.select().from(adapters).where(eq(adapters.id, adapterId))
    return { name: row!.name, results }
  })
  return summarizeSuites(await Promise.all(named))
}

/** For a training, the base model and, once there is one, its adapter; else what is evaluated. Empty without suites. */
export async function runSuiteResults(db: Db, run: Run): Promise<SubjectResults[]> {
  const { spec, baseModelId } = run
  const names = suiteNames(run)
  if (names.length === 0) return []
  const adapter = await adapterOf(db, run)
  const base = spec.kind === 'TRAIN' || adapter === null ? [null] : []
  const adapterIds = [...base, ...(adapter === null ? [] : [adapter.id])]
  const hashes = spec.evaluate.map(({ settings }) => settingsHash(settings))
  return Promise.all(
    adapterIds.map(async (adapterId) => {
      const scores = await scoresUnder(db, { baseModelId, adapterId }, hashes)
      return { baseModelId, adapterId, results: names.map((name) => suiteResult(name, scores)) }
    }),
  )
}
