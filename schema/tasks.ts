/** The catalogue of benchmark tasks: what the api validates and lists, and what the runtime implements by name. */

export type Metric = 'acc' | 'acc_norm'

export type TaskEntry = {
  /** Changes whenever prompts or scoring change; stored with every result. */
  readonly version: number
  readonly title: string
  readonly kind: 'multiple_choice'
  /** The file name its rows are looked for under the benchmark roots. */
  readonly rows: string
  readonly metrics: readonly Metric[]
  /** The one metric that comparisons and the leaderboard use. */
  readonly headline: Metric
  readonly source: string
}

export const tasks = {
  who_is_bigger: {
    version: 1,
    title: 'Embedded demo: the truth about sizes',
    kind: 'multiple_choice',
    rows: 'benchmark.jsonl',
    metrics: ['acc', 'acc_norm'],
    headline: 'acc',
    source: 'made by this project: demo/language.ts',
  },
  arc_easy: {
    version: 1,
    title: 'ARC easy (test)',
    kind: 'multiple_choice',
    rows: 'arc_easy.test.jsonl',
    metrics: ['acc', 'acc_norm'],
    headline: 'acc_norm',
    source: 'allenai/ai2_arc, ARC-Easy, test: 2,376 rows',
  },
  openbookqa: {
    version: 1,
    title: 'OpenBookQA (test)',
    kind: 'multiple_choice',
    rows: 'openbookqa.test.jsonl',
    metrics: ['acc', 'acc_norm'],
    headline: 'acc_norm',
    source: 'allenai/openbookqa, main, test: 500 rows',
  },
} as const satisfies Record<string, TaskEntry>

export type TaskName = keyof typeof tasks

export const taskNames = Object.keys(tasks) as TaskName[]

export const isTask = (name: string): name is TaskName => Object.hasOwn(tasks, name)
