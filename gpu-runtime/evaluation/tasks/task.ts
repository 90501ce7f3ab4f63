/**
 * What a benchmark task is: how a row of its file becomes a document, and how a model's answers to it
 * become scores. Prompts are put together in ../prompt.ts, the same way for all tasks.
 */
import type { Metric } from '#schema/metrics.ts'
import type { TaskDialect } from '#schema/tasks.ts'
import type { ChoiceScore } from '../../inference/score.ts'
import type { Text } from '../../text/text.ts'

/** By metric, summed by the harness's rules: see schema/metrics.ts. */
export type Scores = { readonly [M in Metric]?: number }

/** `weights` where a score counts for something else than 1. `picked` is the index of a choice. */
export type Judged = {
  readonly scores: Scores
  readonly weights?: Scores
  readonly picked?: number | null
}

/** A question with continuations whose log-likelihoods are compared, or looked at. */
export type ChoiceDocument = {
  /** The question; one for each choice where the choices differ in what comes before (Winogrande). */
  readonly text: string | readonly string[]
  /** The continuations, without the delimiter. */
  readonly choices: readonly string[]
  /** Indices of the right choices, at least one; the first of them is what an example shows. */
  readonly gold: readonly number[]
}

/** A question that is answered by writing. */
export type GenerationDocument = {
  readonly text: string
  /** What an example shows behind the question, and what people compare the response with. */
  readonly target: string
}

/** A text that is scored as a whole. */
export type RollingDocument = { readonly text: string }

type Asking = {
  /** Before everything else; its own message with a chat template. */
  readonly description?: string
  /**
   * Between question and answer. Default: one blank. With a chat template there is none, nor in what is
   * asked of kind `loglikelihood`, whose answers bring their own.
   */
  readonly delimiter?: string
  /** Between an example and what follows. Default: an empty line. */
  readonly separator?: string
  /** How examples are chosen: drawn anew for each question (default), or the first ones for all. */
  readonly choose?: 'RANDOM' | 'FIRST'
  /**
   * Whether a question is left out of its own examples, for which one more is drawn than is shown.
   * Default: where the examples are of the file of the questions.
   */
  readonly leavesOutItself?: boolean
  /** Asked without solved examples only. */
  readonly zeroShot?: true
  /** The question is already written in the model's chat format. */
  readonly rendered?: true
}

/**
 * `document` throws FormatError with the row where it lacks the task's columns; `row` is 0-based and
 * `text` is the model's.
 */
type Reads<D> = { document(value: unknown, row: number, text: Text): D }

export type ChoiceTask<D extends ChoiceDocument = ChoiceDocument> = Asking &
  Reads<D> & {
    readonly kind: 'multiple_choice' | 'loglikelihood'
    /** Log-likelihoods by choice. Default: acc and acc_norm. */
    judge?(document: D, scores: readonly ChoiceScore[]): Judged
    /** Whether `judge` looks at `greedy`, which costs a pass over the vocabulary. */
    readonly greedy?: true
  }

export type GenerationTask<D extends GenerationDocument = GenerationDocument> = Asking &
  Reads<D> & {
    readonly kind: 'generate_until'
    /** Texts that end a response and are not part of it. */
    readonly until: readonly string[]
    readonly maxTokens: number
    judge(document: D, response: string): Judged
  }

export type RollingTask<D extends RollingDocument = RollingDocument> = Reads<D> & {
  readonly kind: 'loglikelihood_rolling'
  judge(document: D, logLikelihood: number): Judged
}

// A task's own document type is known to its two methods alone.
// oxlint-disable-next-line typescript/no-explicit-any
export type Task = ChoiceTask<any> | GenerationTask<any> | RollingTask<any>

/** A task as each dialect has it; where one is missing the task cannot be asked in it. */
export type Dialects = { readonly [D in TaskDialect]?: Task }

/** The same prompts and scores in every dialect. */
export const everywhere = (task: Task): Dialects => ({ LM_EVAL: task, NOUS: task })

/** Python's len(): code points, where JavaScript counts UTF-16 units. */
export const codePoints = (text: string): number => [...text].length

/** Index of the largest, the first of equals. */
export const argmax = (xs: readonly number[]): number =>
  xs.reduce((best, x, i) => (x > xs[best]! ? i : best), 0)

/** acc and acc_norm: is the likeliest choice right, as it is and divided by its length in code points. */
export function judgeChoices(
  { choices, gold }: ChoiceDocument,
  scores: readonly ChoiceScore[],
): Judged {
  const picked = argmax(scores.map((s) => s.logLikelihood))
  const normal = argmax(scores.map((s, i) => s.logLikelihood / codePoints(choices[i]!)))
  return {
    scores: { acc: Number(gold.includes(picked)), acc_norm: Number(gold.includes(normal)) },
    picked,
  }
}

/** acc alone, where choices are of one length or their lengths say nothing. */
export function judgeAsIs({ gold }: ChoiceDocument, scores: readonly ChoiceScore[]): Judged {
  const picked = argmax(scores.map((s) => s.logLikelihood))
  return { scores: { acc: Number(gold.includes(picked)) }, picked }
}
