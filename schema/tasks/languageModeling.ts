/** How well a model predicts text. */
import type { TaskEntry } from '../tasks.ts'

export const languageModeling = {
  lambada_openai: {
    version: 1,
    title: 'LAMBADA, OpenAI’s form (test)',
    kind: 'loglikelihood',
    rows: 'lambada_openai.test.jsonl',
    examples: 'lambada_openai.test.jsonl',
    fewShot: 0,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['perplexity', 'acc'],
    headline: 'acc',
  },
  wikitext: {
    version: 1,
    title: 'WikiText-2 (test)',
    kind: 'loglikelihood_rolling',
    rows: 'wiki.test.raw',
    examples: null,
    fewShot: 0,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
    headline: 'word_perplexity',
  },
} as const satisfies Record<string, TaskEntry>
