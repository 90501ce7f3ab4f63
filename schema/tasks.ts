/** The catalogue of benchmark tasks: what the api validates and lists, and what the runtime implements by name. */
import type { Metric } from './metrics.ts'

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
  readonly source: string
}

const entries = {
  who_is_bigger: {
    version: 1,
    title: 'Embedded demo: the truth about sizes',
    kind: 'multiple_choice',
    rows: 'benchmark.jsonl',
    examples: null,
    fewShot: 0,
    dialects: ['LM_EVAL'],
    metrics: ['acc', 'acc_norm'],
    headline: 'acc',
    source: 'made by this project: demo/language.ts',
  },
  arc_easy: {
    version: 1,
    title: 'ARC easy (test)',
    kind: 'multiple_choice',
    rows: 'arc_easy.test.jsonl',
    examples: 'arc_easy.train.jsonl',
    fewShot: 0,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['acc', 'acc_norm'],
    headline: 'acc_norm',
    source: 'allenai/ai2_arc, ARC-Easy, test: 2,376 rows',
  },
  openbookqa: {
    version: 1,
    title: 'OpenBookQA (test)',
    kind: 'multiple_choice',
    rows: 'openbookqa.test.jsonl',
    examples: 'openbookqa.train.jsonl',
    fewShot: 0,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['acc', 'acc_norm'],
    headline: 'acc_norm',
    source: 'allenai/openbookqa, main, test: 500 rows',
  },
} as const satisfies Record<string, TaskEntry>

/** By name, in the order in which people are shown them. */
export const tasks: ReadonlyMap<string, TaskEntry> = new Map<string, TaskEntry>(
  Object.entries(entries),
)

export const taskNames: readonly string[] = [...tasks.keys()]
