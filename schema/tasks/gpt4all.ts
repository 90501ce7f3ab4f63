/** Commonsense reasoning, the seven tasks that GPT4All is compared by. */
import type { TaskEntry } from '../tasks.ts'

const asked = {
  version: 1,
  kind: 'multiple_choice',
  fewShot: 0,
  dialects: ['LM_EVAL', 'NOUS'],
  metrics: ['acc', 'acc_norm'],
  headline: 'acc_norm',
} as const

export const gpt4all = {
  arc_easy: {
    ...asked,
    title: 'ARC easy (test)',
    rows: 'arc_easy.test.jsonl',
    examples: 'arc_easy.train.jsonl',
    source: 'allenai/ai2_arc, ARC-Easy, test: 2,376 rows',
  },
  arc_challenge: {
    ...asked,
    title: 'ARC challenge (test)',
    rows: 'arc_challenge.test.jsonl',
    examples: 'arc_challenge.train.jsonl',
    source: 'allenai/ai2_arc, ARC-Challenge, test: 1,172 rows',
  },
  boolq: {
    ...asked,
    title: 'BoolQ (validation)',
    rows: 'boolq.validation.jsonl',
    examples: 'boolq.train.jsonl',
    metrics: ['acc'],
    headline: 'acc',
    source: 'aps/super_glue, boolq, validation: 3,270 rows',
  },
  hellaswag: {
    ...asked,
    title: 'HellaSwag (validation)',
    rows: 'hellaswag.validation.jsonl',
    examples: 'hellaswag.train.jsonl',
    source: 'Rowan/hellaswag, validation: 10,042 rows',
  },
  openbookqa: {
    ...asked,
    title: 'OpenBookQA (test)',
    rows: 'openbookqa.test.jsonl',
    examples: 'openbookqa.train.jsonl',
    source: 'allenai/openbookqa, main, test: 500 rows',
  },
  piqa: {
    ...asked,
    title: 'PIQA (validation)',
    rows: 'piqa.validation.jsonl',
    examples: 'piqa.train.jsonl',
    source: 'baber/piqa, validation: 1,838 rows',
  },
  winogrande: {
    ...asked,
    title: 'WinoGrande (validation)',
    rows: 'winogrande.validation.jsonl',
    examples: 'winogrande.train.jsonl',
    metrics: ['acc'],
    headline: 'acc',
    source: 'allenai/winogrande, winogrande_xl, validation: 1,267 rows',
  },
} as const satisfies Record<string, TaskEntry>
