/** numpy.random.RandomState, as far as BIG-bench draws from it. */
import MersenneTwister from 'mersenne-twister'

/** RandomState(seed).permutation(n): 0 … n - 1 in another order. For a seed and an n below 2³². */
export function numpyPermutation(seed: number, n: number): number[] {
  const twister = new MersenneTwister(seed)
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const bits = Math.clz32(i)
    let j: number
    // Of the low bits that i needs, again while they are too many; Python's own random takes the high ones.
    do j = (twister.random_int() << bits) >>> bits
    while (j > i)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}
