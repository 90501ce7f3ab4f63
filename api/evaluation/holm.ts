/** Many tests at once: p-values that hold for all of them together. */

/**
 * Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979), in the order given: the i-th smallest of m p-values is
 * multiplied by m - i + 1, never below the one before it, at most 1. Rejecting where the adjusted value is at most α makes a false
 * rejection among all of them with probability at most α, however the tests depend on each other.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!)
  const adjusted = Array<number>(pValues.length)
  let most = 0
  for (const [rank, i] of order.entries()) {
    most = Math.max(most, Math.min(1, (pValues.length - rank) * pValues[i]!))
    adjusted[i] = most
  }
  return adjusted
}
