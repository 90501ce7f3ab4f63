/**
 * Tasks that a run declares for itself: how a row of a file becomes a question, as lm-evaluation-harness' YAML says it. Part of an
 * evaluation's settings, so that equal declarations on equal rows are equal tasks.
 */
import { RE2JS } from 're2js'
import { z } from 'zod'
import type { Metric } from './metrics.ts'
import { tasks, type TaskEntry } from './tasks.ts'
import { templateProblem } from './template.ts'

/** Jinja over a row's columns, or a column's name. */
const template = z
  .string()
  .max(4000)
  .superRefine((text, ctx) => {
    const message = templateProblem(text)
    if (message !== null) ctx.addIssue({ code: 'custom', message })
  })

/** RE2's syntax: like Python's, without lookaround and backreferences, which could take for ever. */
const pattern = z
  .string()
  .min(1)
  .max(500)
  .superRefine((regex, ctx) => {
    try {
      RE2JS.compile(regex)
    } catch (error) {
      const message = `expected a regular expression as RE2 has them, ${(error as Error).message}`
      ctx.addIssue({ code: 'custom', message })
    }
  })

const asked = {
  text: template,
  /** Between a question and its answer. */
  delimiter: z.string().max(100).default(' '),
  /** Before everything. */
  description: z.string().max(10_000).default(''),
}

/** What of a response is compared with the target. */
const Match = z.strictObject({
  regex: pattern,
  /** The regex's group; null: the first that matched something, or the whole where there are none. */
  group: z.number().int().min(0).max(50).nullable().default(null),
  take: z.enum(['FIRST', 'LAST']).default('FIRST'),
})

export const customTasks = [
  z.strictObject({
    kind: z.literal('MULTIPLE_CHOICE'),
    ...asked,
    /** Alone, the column that has them all (`choices`, `choices.text`); else a template for each. */
    choices: z.array(template).min(1).max(100),
    /** An index from 0, a choice's text, or its letter. */
    target: template,
  }),
  z.strictObject({
    kind: z.literal('GENERATE'),
    ...asked,
    target: template,
    /** Texts that end a response. */
    until: z.array(z.string().min(1).max(200)).max(20).default(['\n\n']),
    maxTokens: z.number().int().min(1).max(8192).default(256),
    /** Null: the whole response. Space around either side makes no difference. */
    match: Match.nullable().default(null),
    ignoreCase: z.boolean().default(false),
  }),
  z.strictObject({ kind: z.literal('PERPLEXITY'), text: template }),
  z.strictObject({ kind: z.literal('PREFERENCE') }),
] as const

export const CustomTask = z.discriminatedUnion('kind', customTasks)
export type CustomTask = z.infer<typeof CustomTask>

/** What each kind measures, the headline first, as it is by the alphabet. */
export const customMetrics = {
  MULTIPLE_CHOICE: ['acc', 'acc_norm'],
  GENERATE: ['exact_match'],
  PERPLEXITY: ['bits_per_byte', 'byte_perplexity', 'word_perplexity'],
  PREFERENCE: ['acc', 'acc_norm', 'acc_per_token'],
} as const satisfies Record<CustomTask['kind'], readonly Metric[]>

/** What the catalogue says of a task, or its own declaration; undefined where neither does. */
export function entryOf({
  task,
  custom,
}: {
  readonly task: string
  readonly custom?: CustomTask | undefined
}): Pick<TaskEntry, 'title' | 'metrics' | 'headline'> | undefined {
  if (custom === undefined) return tasks.get(task)
  const metrics = customMetrics[custom.kind]
  return { title: task, metrics, headline: metrics[0] }
}
