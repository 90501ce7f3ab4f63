/** Numbers as Python's `random` module draws them, for results that are defined by its seeds. */
import MersenneTwister from 'mersenne-twister'

/**
 * `random.Random(seed).random`: uniform in [0, 1) with 53 random bits (MT19937; Python seeds it by the 32-bit words of the
 * integer). Seeds here have one word.
 */
export function pythonRandom(seed: number): () => number {
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new RangeError(`seed: expected an integer from 0 to 2^32 - 1, got ${seed}`)
  const twister = new MersenneTwister([seed])
  return () => twister.random_long()
}
