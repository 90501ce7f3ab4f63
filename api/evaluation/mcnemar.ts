/** Is the difference more than chance: the exact test on the pairs in which the two sides disagree. */

/**
 * Exact two-sided McNemar test: among gained + lost discordant pairs each side wins with probability ½ under the null
 * hypothesis, so p = min(1, 2 · P[X <= min(gained, lost)]) with X ~ Binomial(gained + lost, ½). 1 for no discordant pair.
 * The largest term goes through log-gamma, the others follow by their ratio k / (n - k + 1): nothing overflows for large n.
 */
export function mcnemar(gained: number, lost: number): number {
  const n = gained + lost
  const most = Math.min(gained, lost)
  let term = Math.exp(logFactorial(n) - logFactorial(most) - logFactorial(n - most) - n * Math.LN2)
  let sum = 0
  for (let k = most; k >= 0 && term > sum * Number.EPSILON; k -= 1) {
    sum += term
    term *= k / (n - k + 1)
  }
  return Math.min(1, 2 * sum)
}

/** ln k!, by summing below 32 and by Stirling's series above (error below 1e-16 there). */
function logFactorial(k: number): number {
  if (k < 32) {
    let sum = 0
    for (let i = 2; i <= k; i += 1) sum += Math.log(i)
    return sum
  }
  const x = k + 1
  const series = 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5) - 1 / (1680 * x ** 7)
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series
}
