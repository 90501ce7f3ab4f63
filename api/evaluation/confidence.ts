/** The one confidence level of the product, so that no two pages disagree about what an interval means. */

/** Probability with which an interval covers the true value. */
export const level = 0.95

/** The standard normal quantile at 1 - (1 - level) / 2. */
export const z = 1.959963984540054

/** Both ends included, at `level`, on the scale of what it is about. */
export type Interval = { readonly low: number; readonly high: number }
