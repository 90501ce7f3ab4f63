/** The interval of a paired difference between two proportions. */
import { z as standard, type Interval } from './confidence.ts'

/**
 * Tango's score interval (Statistics in Medicine 17, 1998, 891–908) for p(candidate) - p(baseline) over n pairs, of which
 * `gained` were right for the candidate only and `lost` for the baseline only: all Δ that the score test does not reject,
 *
 *   |gained - lost - nΔ| <= z · sqrt(n (2 q + Δ (1 - Δ))),   q = p(lost) of highest likelihood, given Δ.
 *
 * The plain interval d ± z·SE collapses to a point when nothing changed (gained = lost = 0) and is too narrow near it; this one
 * is ± z² / (n + z²) there. Fagerland et al. (2014) recommend it for all sample sizes.
 * `z` is `zOf(level)`.
 */
export function tango(gained: number, lost: number, n: number, z: number = standard): Interval {
  if (n < 1 || gained < 0 || lost < 0 || gained + lost > n) {
    throw new RangeError(
      `tango: expected 0 <= gained + lost <= n and n >= 1, got ${gained}, ${lost}, ${n}`,
    )
  }
  const difference = (gained - lost) / n

  const statistic = (delta: number): number => {
    // The constrained likelihood's maximum is the larger root of 2n q² + b q + c = 0.
    const b = (2 * n - gained + lost) * delta - gained - lost
    const c = -lost * delta * (1 - delta)
    const q = (Math.sqrt(Math.max(0, b * b - 8 * n * c)) - b) / (4 * n)
    return (
      (gained - lost - n * delta) /
      Math.sqrt(n * Math.max(Number.MIN_VALUE, 2 * q + delta * (1 - delta)))
    )
  }

  // The statistic falls as delta rises. Halving an interval of width <= 2 to the last bit takes fewer than 60 steps.
  const solve = (from: number, to: number, target: number): number => {
    let [low, high] = [from, to]
    for (let step = 0; step < 60; step += 1) {
      const middle = (low + high) / 2
      if (statistic(middle) > target) low = middle
      else high = middle
    }
    return (low + high) / 2
  }

  return {
    low: difference === -1 ? -1 : solve(-1, difference, z),
    high: difference === 1 ? 1 : solve(difference, 1, -z),
  }
}
