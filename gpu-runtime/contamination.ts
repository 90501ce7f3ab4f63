/** Looks for the documents of evaluations in the rows that their adapter was trained on. */
import type { Contaminated, Training } from '#schema/protocol.ts'
import { expectPinned, inFile } from './data/pinned.ts'
import { toPreference } from './data/preference.ts'
import { openRows } from './data/rows.ts'
import { split } from './data/split.ts'
import { FormatError } from './error.ts'
import { OverlapIndex, telling } from './evaluation/overlap.ts'
import type { Prepared } from './evaluation/prepare.ts'
import type { PreparedOrder } from './scoring.ts'
import { plan } from './training/plan.ts'
import type { Bench } from './workbench.ts'

/** What training has seen of a task's documents: those with something shared. */
export type Contamination = ReadonlyMap<Prepared, readonly Contaminated[]>

/**
 * Of the tasks that adapters are asked. Null where there are none, where nothing is known of the training, where its rows are no
 * longer what they were (a warning says so), or interrupted. Rows count as they are in the file, also where a recipe's lengths cut
 * them. Memory is the documents'; rows are read one at a time.
 */
export async function lookForContamination(
  trainedOn: readonly Training[],
  orders: readonly PreparedOrder[],
  { report, signal }: Bench,
): Promise<Contamination | null> {
  const asked = orders.filter(({ subject }) => subject === 'ADAPTER')
  const tasks = [...new Set(asked.map(({ task }) => task))]
  if (tasks.length === 0 || trainedOn.length === 0) return null
  const index = new OverlapIndex(
    tasks.map(({ documents }) => documents.map(({ document }) => telling(document))),
  )
  try {
    for (const [source, training] of trainedOn.entries())
      if (!(await show(index, training, source, signal))) return null
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const message = `training rows were not looked through for the benchmarks' documents: ${error.message}`
    report.event('log', { level: 'warn', message })
    return null
  }
  const overlaps = index.overlaps()
  return new Map(
    tasks.map((task, t) => [
      task,
      overlaps[t]!.flatMap((found, d) => {
        if (found === null) return []
        const { overlap, source, row } = found
        const dataset = trainedOn[source]!.dataset.sha256
        return [{ document: task.documents[d]!.index, overlap, row, dataset }]
      }),
    ]),
  )
}

/** Every row that training visits, in the file's order; false: interrupted. */
async function show(
  index: OverlapIndex,
  { dataset, recipe }: Training,
  source: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { path, sha256 } = dataset
  await expectPinned(path, sha256)
  const rows = await inFile(path, () => openRows(path))
  try {
    const { train } = split(rows.count, { ...dataset, seed: recipe.seed })
    const visited = plan(train.length, recipe, dataset.shuffle).firstEpoch()
    for (const row of visited.map((i) => train[i]!).toSorted((a, b) => a - b)) {
      if (signal.aborted) return false
      const { prompt, chosen, rejected } = toPreference(await rows.read(row), row)
      const text = (messages: typeof prompt) => messages.map(({ content }) => content).join('\n')
      index.show(text([...prompt, ...chosen]), source, row)
      index.show(text(rejected), source, row)
    }
    return true
  } finally {
    await rows.close()
  }
}
