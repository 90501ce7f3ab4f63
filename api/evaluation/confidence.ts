/** The one confidence level of the product, so that no two pages disagree about what an interval means. */

export const level = 0.95

/** The standard normal quantile at 1 - (1 - level) / 2. */
export const z = 1.959963984540054

export type Interval = { readonly low: number; readonly high: number }
