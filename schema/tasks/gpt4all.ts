/** The tasks of the GPT4All suite. */
import type { TaskEntry } from '../tasks.ts'

export const gpt4all = {
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
