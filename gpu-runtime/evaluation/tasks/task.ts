/** What a benchmark task is: how one row of its file becomes a document with choices. */
import type { Text } from '../../text/text.ts'

export type Document = {
  readonly context: string
  /** The continuations whose log-likelihoods are compared, delimiter included. */
  readonly choices: readonly string[]
  /** Index of the right choice. */
  readonly gold: number
  /**
   * What acc_norm divides each log-likelihood by: Unicode code points of the choice without its
   * delimiter.
   */
  readonly lengths: readonly number[]
}

export type Task = {
  /**
   * Throws FormatError with the row when it has not the task's columns. `row` is 0-based; `text` is
   * the model's.
   */
  document(value: unknown, row: number, text: Text): Document
}

/** Python's len(): code points, where JavaScript counts UTF-16 units. */
export const codePoints = (text: string): number => [...text].length
