/** Benchmarks while an adapter is trained: it is scored, as it is then, on the first documents of some tasks. */
import type { Sample } from '#schema/protocol.ts'
import type { TrainSpec } from '#schema/spec.ts'
import { FormatError } from './error.ts'
import { aggregate } from './evaluation/aggregate.ts'
import type { Prepared } from './evaluation/prepare.ts'
import { evaluate } from './evaluation/run.ts'
import { openScorer, type Scorer } from './inference/score.ts'
import type { Checkpoint } from './models/checkpoint.ts'
import { prepareAll, scoreTypes } from './scoring.ts'
import type { Values } from './training/metrics.ts'
import type { Probe } from './training/probe.ts'
import type { Bench } from './workbench.ts'

/**
 * Measures `eval_<task>/<metric>`; null where the spec asks for none. A scorer is open only while it measures, on the base's mapped
 * weights, beside the session that trains. `checkpoint` is what the adapter is trained on. FormatError for bad rows, and for tasks
 * that are answered by writing.
 */
export async function openProbe(
  { benchmarks, lora, engine: { tokenBudget } }: TrainSpec,
  checkpoint: Checkpoint,
  bench: Bench,
): Promise<Probe | null> {
  if (benchmarks === undefined) return null
  const { engine, signal } = bench
  const orders = benchmarks.tasks.map(({ settings, rows, examples }) => ({
    key: settings.task,
    subject: 'ADAPTER' as const,
    settings,
    rows,
    examples,
  }))
  const prepared = (await prepareAll(orders, bench)).map(({ task }) => task)
  const written = prepared.find(({ task }) => task.kind === 'generate_until')
  if (written !== undefined)
    throw new FormatError(
      `${written.settings.task}: expected a task that is scored by likelihood while an adapter is trained, its answers are written`,
    )
  const still = { ...lora, dropout: 0 }
  return {
    every: benchmarks.every,
    async measure(flat) {
      const values: Values = {}
      for (const tasks of Map.groupBy(prepared, scorerOf).values()) {
        const scorer = await openScorer(engine, checkpoint, [{ spec: still, flat }], {
          compute: scoreTypes[tasks[0]!.settings.dtype],
          greedy: 'greedy' in tasks[0]!.task,
        })
        try {
          for (const task of tasks) {
            const samples = await samplesOf(task, scorer, tokenBudget, signal)
            if (samples.length < task.documents.length) return null
            for (const [metric, value] of Object.entries(aggregate(samples)))
              values[`eval_${task.settings.task}/${metric}`] = value
          }
        } finally {
          await scorer.release()
        }
      }
      return values
    },
  }
}

const scorerOf = ({ settings, task }: Prepared) => `${settings.dtype} ${'greedy' in task}`

/** Fewer than there are documents when it was interrupted. */
async function samplesOf(
  task: Prepared,
  scorer: Scorer,
  tokenBudget: number,
  signal: AbortSignal,
): Promise<Sample[]> {
  const samples: Sample[] = []
  for await (const scored of evaluate(task, scorer, tokenBudget, signal))
    samples.push(...scored.samples[0]!)
  return samples
}
