/** The catalogue of benchmark tasks: what the api validates and lists, and what the runtime implements by name; one family of them a file in tasks/. */
import type { Metric } from './metrics.ts'
import { agieval } from './tasks/agieval.ts'
import { bigBench } from './tasks/bigBench.ts'
import { demo } from './tasks/demo.ts'
import { generation } from './tasks/generation.ts'
import { gpt4all } from './tasks/gpt4all.ts'
import { languageModeling } from './tasks/languageModeling.ts'
import { mmlu } from './tasks/mmlu.ts'
import { truthfulqa } from './tasks/truthfulqa.ts'

/** Whose prompts and scoring: lm-evaluation-harness of today, or its fork of 0.3.0 that the Nous suite is run with. */
export const taskDialects = ['LM_EVAL', 'NOUS'] as const
export type TaskDialect = (typeof taskDialects)[number]

/** How a model is asked, under the harness's names. */
export type TaskKind =
  | 'multiple_choice'
  | 'loglikelihood'
  | 'loglikelihood_rolling'
  | 'generate_until'

export type TaskEntry = {
  /** Changes whenever prompts or scoring change; stored with every result. */
  readonly version: number
  readonly title: string
  readonly kind: TaskKind
  /** The file name its rows are looked for under the benchmark roots. */
  readonly rows: string
  /** The file of solved examples for few-shot prompts; null where the task has none. */
  readonly examples: string | null
  /** Solved examples before each question unless asked otherwise. */
  readonly fewShot: number
  readonly dialects: readonly TaskDialect[]
  readonly metrics: readonly Metric[]
  /** The one metric that comparisons and the leaderboard use. */
  readonly headline: Metric
  /** Where its rows come from, if schema/sources.ts does not know. */
  readonly source?: string
}

/** By name, in the order in which people are shown them. */
export const tasks: ReadonlyMap<string, TaskEntry> = new Map<string, TaskEntry>(
  Object.entries({
    ...demo,
    ...agieval,
    ...gpt4all,
    ...truthfulqa,
    ...bigBench,
    ...mmlu,
    ...languageModeling,
    ...generation,
  }),
)

export const taskNames: readonly string[] = [...tasks.keys()]
