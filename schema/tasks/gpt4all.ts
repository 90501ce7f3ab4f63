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
  },
  arc_challenge: {
    ...asked,
    title: 'ARC challenge (test)',
    rows: 'arc_challenge.test.jsonl',
    examples: 'arc_challenge.train.jsonl',
  },
  boolq: {
    ...asked,
    title: 'BoolQ (validation)',
    rows: 'boolq.validation.jsonl',
    examples: 'boolq.train.jsonl',
    metrics: ['acc'],
    headline: 'acc',
  },
  hellaswag: {
    ...asked,
    title: 'HellaSwag (validation)',
    rows: 'hellaswag.validation.jsonl',
    examples: 'hellaswag.train.jsonl',
  },
  openbookqa: {
    ...asked,
    title: 'OpenBookQA (test)',
    rows: 'openbookqa.test.jsonl',
    examples: 'openbookqa.train.jsonl',
  },
  piqa: {
    ...asked,
    title: 'PIQA (validation)',
    rows: 'piqa.validation.jsonl',
    examples: 'piqa.train.jsonl',
  },
  winogrande: {
    ...asked,
    title: 'WinoGrande (validation)',
    rows: 'winogrande.validation.jsonl',
    examples: 'winogrande.train.jsonl',
    metrics: ['acc'],
    headline: 'acc',
  },
} as const satisfies Record<string, TaskEntry>
