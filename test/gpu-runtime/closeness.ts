/** One tolerance matcher for numeric tests. */
import assert from 'node:assert/strict'

/** |got − expected| ≤ rtol · |expected| + atol for every element; the message shows the worst. */
export function assertClose(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 0, atol = 0 }: { rtol?: number; atol?: number },
  what: string,
): void {
  assert.equal(got.length, expected.length, `${what}: length`)
  let [worst, at] = [-1, -1]
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i]! - expected[i]!)
    const excess = error === 0 ? 0 : error / (rtol * Math.abs(expected[i]!) + atol)
    assert.ok(!Number.isNaN(excess), `${what}[${i}]: got ${got[i]}, expected ${expected[i]}`)
    if (excess > worst) [worst, at] = [excess, i]
  }
  assert.ok(
    worst <= 1,
    `${what}[${at}]: got ${got[at]}, expected ${expected[at]} (${worst.toFixed(2)} times the tolerance)`,
  )
}
