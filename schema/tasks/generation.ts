/** What a model writes: a problem's answer, or a text to order. */
import type { TaskEntry } from '../tasks.ts'

export const generation = {
  gsm8k: {
    version: 1,
    title: 'GSM8K (test)',
    kind: 'generate_until',
    rows: 'gsm8k.test.jsonl',
    examples: 'gsm8k.train.jsonl',
    fewShot: 5,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['exact_match_strict', 'exact_match_flexible'],
    headline: 'exact_match_strict',
  },
  ifeval: {
    version: 1,
    title: 'IFEval: 25 kinds of instruction',
    kind: 'generate_until',
    rows: 'ifeval.jsonl',
    examples: null,
    fewShot: 0,
    dialects: ['LM_EVAL'],
    metrics: [
      'prompt_level_strict_acc',
      'inst_level_strict_acc',
      'prompt_level_loose_acc',
      'inst_level_loose_acc',
    ],
    headline: 'prompt_level_strict_acc',
  },
} as const satisfies Record<string, TaskEntry>
