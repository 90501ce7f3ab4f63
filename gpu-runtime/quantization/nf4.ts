/**
 * NF4 (Dettmers et al. 2023, QLoRA): each block of 64 weights is its largest magnitude, absmax, times sixteen fixed levels, the
 * quantiles of a normal distribution. Codes are those of bitsandbytes, down to the rounding: a weight is multiplied by the
 * reciprocal of its block's absmax in float32, and what lies on the border of two levels takes the lower one.
 */
import { FormatError } from '../error.ts'

/** Weights under one absmax; the blocks run over the flat tensor. */
export const blockSize = 64

/** The levels as bitsandbytes has them, in float32. */
export const levels: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
]

const borders = levels.slice(1).map((level, i) => Math.fround((levels[i]! + level) / 2))

/**
 * [-1, 1] in cells so narrow that none has two borders: a code is the number of borders below its cell, and one more past the
 * border in it.
 */
const cells = 256
const below = Uint8Array.from({ length: 2 * cells + 1 }, (_, cell) => {
  return borders.filter((border) => border < cell / cells - 1).length
})
const inside = Float32Array.from({ length: 2 * cells + 1 }, (_, cell) => {
  return borders.find((b) => b >= cell / cells - 1 && b < (cell + 1) / cells - 1) ?? Infinity
})

/** A tensor in codes, two in a byte with the first in the upper half, and the absmax of every block. */
export type Blocks = {
  /** 32 bytes a block; where the tensor ends inside a block, the rest of it are codes of 0. */
  readonly codes: Uint8Array
  readonly absmax: Float32Array
}

/** So that a block of zeros has a reciprocal. */
const smallest = Math.fround(1e-38)

/** Throws FormatError, beginning with `what`, when a value is not finite. */
export function quantize(values: Float32Array, what: string): Blocks {
  const count = Math.ceil(values.length / blockSize)
  const codes = new Uint8Array((count * blockSize) / 2)
  const absmax = new Float32Array(count)
  const block = new Float32Array(blockSize)
  for (let b = 0; b < count; b++) {
    const start = b * blockSize
    const length = Math.min(blockSize, values.length - start)
    let most = 0
    for (let i = 0; i < length; i++) most = Math.max(most, Math.abs(values[start + i]!))
    if (!Number.isFinite(most))
      throw new FormatError(
        `${what}: elements ${start} to ${start + length - 1} hold a value that is not finite`,
      )
    if (length === blockSize) {
      absmax[b] = most
      const scale = Math.fround(1 / Math.max(most, smallest))
      for (let i = 0; i < blockSize; i++) block[i] = values[start + i]! * scale
    } else {
      // bitsandbytes divides in the last, shorter block.
      absmax[b] = Math.max(most, smallest)
      block.fill(0)
      for (let i = 0; i < length; i++) block[i] = values[start + i]! / absmax[b]!
    }
    for (let i = 0; i < blockSize; i += 2)
      codes[(start + i) >> 1] = (codeOf(block[i]!) << 4) | codeOf(block[i + 1]!)
  }
  return { codes, absmax }
}

function codeOf(value: number): number {
  const inRange = Math.min(1, Math.max(-1, value))
  const cell = Math.trunc((inRange + 1) * cells)
  return below[cell]! + (inRange > inside[cell]! ? 1 : 0)
}
