/** What an interval means: the one confidence level of the pages, so that no two disagree, and other levels where a rule states its own. */
import { quantile } from './normal.ts'

/** Probability with which an interval covers the true value, where nothing else is said. */
export const level = 0.95

/** The standard normal quantile at 1 - (1 - level) / 2. */
export const z = 1.959963984540054

/** Both ends included, on the scale of what it is about. */
export type Interval = { readonly low: number; readonly high: number }

/** Half the width, in standard errors, of a normal interval with both ends at `at`: 1.96 for 0.95, 1.645 for 0.9. */
export function zOf(at: number): number {
  if (!(at > 0 && at < 1))
    throw new RangeError(`level: expected a number between 0 and 1, got ${at}`)
  return at === level ? z : quantile(1 - (1 - at) / 2)
}
