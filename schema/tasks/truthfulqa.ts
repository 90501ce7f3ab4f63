/** Does a model repeat what people wrongly believe: multiple choice, never with examples. */
import type { TaskEntry } from '../tasks.ts'

const asked = {
  version: 1,
  kind: 'multiple_choice',
  rows: 'truthfulqa_mc.validation.jsonl',
  examples: null,
  fewShot: 0,
} as const

export const truthfulqa = {
  truthfulqa_mc1: {
    ...asked,
    title: 'TruthfulQA, one true answer',
    dialects: ['LM_EVAL'],
    metrics: ['acc'],
    headline: 'acc',
  },
  truthfulqa_mc2: {
    ...asked,
    title: 'TruthfulQA, several true answers',
    dialects: ['LM_EVAL'],
    metrics: ['acc'],
    headline: 'acc',
  },
  truthfulqa_mc: {
    ...asked,
    title: 'TruthfulQA, multiple choice',
    dialects: ['NOUS'],
    metrics: ['mc1', 'mc2'],
    headline: 'mc2',
  },
} as const satisfies Record<string, TaskEntry>
