/**
 * Python's random.Random: what lm-evaluation-harness draws examples and shuffles documents with, and
 * langdetect its n-grams.
 */
import MersenneTwister from 'mersenne-twister'

export type PythonRandom = {
  /** random.random(): [0, 1) in 53 bits. */
  random(): number
  /** The index that random.choice takes of n ≥ 1. */
  below(n: number): number
  /** random.gauss(0, 1): the second of a pair is kept for the next call. */
  gauss(): number
  /** random.sample(population, k). Throws RangeError when k is more than there are. */
  sample<T>(population: readonly T[], k: number): T[]
  /** random.shuffle, of a copy. */
  shuffled<T>(items: readonly T[]): T[]
}

/** random.Random(seed) for a seed below 2³². */
export function pythonRandom(seed: number): PythonRandom {
  const twister = new MersenneTwister()
  twister.init_by_array([seed], 1)
  /** Below n, which is at least 1: as many bits as n has, again while they are too many. */
  const below = (n: number): number => {
    const bits = 32 - Math.clz32(n)
    for (;;) {
      const drawn = twister.random_int() >>> (32 - bits)
      if (drawn < n) return drawn
    }
  }
  const random = () => {
    const [high, low] = [twister.random_int() >>> 5, twister.random_int() >>> 6]
    return (high * 2 ** 26 + low) / 2 ** 53
  }
  let kept: number | null = null
  return {
    random,
    below,
    gauss() {
      if (kept !== null) {
        const drawn = kept
        kept = null
        return drawn
      }
      const angle = random() * 2 * Math.PI
      const radius = Math.sqrt(-2 * Math.log(1 - random()))
      kept = Math.sin(angle) * radius
      return Math.cos(angle) * radius
    },
    sample<T>(population: readonly T[], k: number): T[] {
      const n = population.length
      if (k > n) throw new RangeError(`a sample of ${k} of ${n}`)
      // Either way gives other items: which one is taken is part of the result.
      const asSet = 21 + (k > 5 ? 4 ** Math.ceil(Math.log(k * 3) / Math.log(4)) : 0)
      if (n <= asSet) {
        const pool = [...population]
        return Array.from({ length: k }, (_, i) => {
          const j = below(n - i)
          const taken = pool[j]!
          pool[j] = pool[n - i - 1]!
          return taken
        })
      }
      const taken = new Set<number>()
      while (taken.size < k) taken.add(below(n))
      return [...taken].map((i) => population[i]!)
    },
    shuffled<T>(items: readonly T[]): T[] {
      const list = [...items]
      for (let i = list.length - 1; i > 0; i--) {
        const j = below(i + 1)
        ;[list[i], list[j]] = [list[j]!, list[i]!]
      }
      return list
    },
  }
}
