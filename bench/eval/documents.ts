/** What is asked of every side of scoring, and what it answers. */
import type { Pair } from '#gpu-runtime/evaluation/requests.ts'

export type Document = {
  readonly task: string
  /** 0-based among the task's documents. */
  readonly index: number
  /** One for each choice. */
  readonly requests: readonly Pair[]
}

/** Sums over the tokens of each continuation, in nats, by document and choice. */
export type LogLikelihoods = readonly (readonly number[])[]

/** All documents scored once. */
export type Pass = {
  /** From texts to log-likelihoods. */
  readonly seconds: number
  readonly logLikelihoods: LogLikelihoods
}
