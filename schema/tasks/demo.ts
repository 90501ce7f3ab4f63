/** The benchmark of the embedded demo. */
import type { TaskEntry } from '../tasks.ts'

export const demo = {
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
} as const satisfies Record<string, TaskEntry>
