/**
 * Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). A number is a pure function of (seed, path, kind, counter), so a resumed or
 * recomputed step draws what the first run drew, and there is no state to save but the counter.
 */
import { createHash } from 'node:crypto'

export type Random = {
  /** 32 random bits. */
  uint32(counter: number): number
  /** In [0, 1), 53 random bits. */
  uniform(counter: number): number
  /** Standard normal by Box–Muller; |z| < 6.7. */
  normal(counter: number): number
  /** An integer in [0, n); its bias is below n / 2^53. */
  below(n: number, counter: number): number
  /** A permutation of 0 … n−1 (Fisher–Yates). */
  shuffle(n: number): Int32Array
}

type Words = readonly [number, number, number, number]

/** The high 32 bits of a · b, both unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const cross = al * bh + ((al * bl) >>> 16) // below 2^32
  const middle = ah * bl + (cross % 0x10000) // below 2^32
  return ah * bh + Math.floor(cross / 0x10000) + Math.floor(middle / 0x10000)
}

/** One block of Philox4x32-10: a 128-bit counter and a 64-bit key to four unsigned 32-bit words. */
export function philox(
  [c0, c1, c2, c3]: Words,
  key: readonly [number, number],
): [number, number, number, number] {
  const words = new Uint32Array(4)
  philoxInto(words, c0, c1, c2, c3, key[0], key[1])
  return [words[0]!, words[1]!, words[2]!, words[3]!]
}

/** The same without garbage: an adapter's start is a million blocks. */
function philoxInto(
  words: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0)
    const low0 = Math.imul(0xd2511f53, c0) >>> 0
    const high1 = mulHigh(0xcd9e8d57, c2)
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  words[0] = c0
  words[1] = c1
  words[2] = c2
  words[3] = c3
}

/** Each kind of number has its own counters, so `uniform(0)` and `normal(0)` are independent. */
const kinds = { uint32: 0, uniform: 1, normal: 2, shuffle: 3 } as const

/**
 * The numbers of one purpose: `stream(42, 'lora/model.layers.0.self_attn.q_proj')`. Streams with
 * different paths are independent.
 */
export function stream(seed: number, path: string): Random {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`seed: expected an integer from 0 to 2^53 − 1, got ${seed}`)
  const digest = createHash('sha256').update(`${seed}\n${path}`).digest()
  const key = [digest.readUInt32LE(0), digest.readUInt32LE(4)] as const

  let lastBlock = -1
  let lastKind = -1
  const words = new Uint32Array(4)
  const block = (kind: number, index: number): Uint32Array => {
    if (index !== lastBlock || kind !== lastKind) {
      philoxInto(words, index >>> 0, Math.floor(index / 2 ** 32), kind, 0, key[0], key[1])
      lastBlock = index
      lastKind = kind
    }
    return words
  }
  /** Two words of a block hold one number of 53 bits. */
  const fraction = (kind: number, counter: number): number => {
    const w = block(kind, Math.floor(counter / 2))
    const at = (counter % 2) * 2
    return ((w[at]! >>> 5) * 2 ** 26 + (w[at + 1]! >>> 6)) / 2 ** 53
  }

  return {
    uint32: (counter) => block(kinds.uint32, Math.floor(counter / 4))[counter % 4]!,
    uniform: (counter) => fraction(kinds.uniform, counter),
    normal(counter) {
      const w = block(kinds.normal, Math.floor(counter / 4))
      const at = counter % 4 < 2 ? 0 : 2
      const [a, b] = [w[at]!, w[at + 1]!]
      const radius = Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)) // (a + 1) / 2^32 is in (0, 1]
      const angle = 2 * Math.PI * (b / 2 ** 32)
      return radius * (counter % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
    },
    below: (n, counter) => Math.floor(fraction(kinds.uniform, counter) * n),
    shuffle(n) {
      const order = Int32Array.from({ length: n }, (_, i) => i)
      for (let i = n - 1; i > 0; i--) {
        const j = Math.floor(fraction(kinds.shuffle, i) * (i + 1))
        const moved = order[i]!
        order[i] = order[j]!
        order[j] = moved
      }
      return order
    },
  }
}
