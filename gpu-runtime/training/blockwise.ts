/**
 * Block-wise dynamic quantization to 8 bits (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization"), as bitsandbytes
 * has it: a block of 256 values is its largest magnitude and, for each value, the place in a table of 256 of what is nearest to
 * value / largest. The table is dense where values are: a sign, a decimal exponent in unary, and as many linear steps as bits are left.
 */
import { dynamicMap } from '../quantization/dynamicMap.ts'

/** Values that share a scale. */
export const blockSize = 256

/** Quantizes to one table. */
export class Quantizer {
  /** What a code stands for, as a part of its block's scale. */
  readonly values: Float32Array
  /** Up to here, a value is nearer to code i than to code i + 1. */
  readonly #ends: Float32Array
  /**
   * By the upper 16 bits of a float32 the code of the lowest value that begins with them. There is at most one end among
   * those values: they are less than 1 % apart, codes more than 1.4 %.
   */
  readonly #codes = new Uint8Array(1 << 16)
  readonly #scaled = new Float32Array(blockSize)
  readonly #bits = new Uint32Array(this.#scaled.buffer)

  constructor(signed: boolean) {
    this.values = dynamicMap(signed)
    this.#ends = this.values.map((v, i) => (v + (this.values[i + 1] ?? Infinity)) / 2)
    const bits = new Uint32Array(1)
    const lowest = new Float32Array(bits.buffer)
    for (let upper = 0; upper < this.#codes.length; upper++) {
      bits[0] = upper < 0x8000 ? upper << 16 : (upper << 16) | 0xffff
      const code = this.#ends.findIndex((end) => lowest[0]! <= end)
      this.#codes[upper] = code < 0 ? 255 : code
    }
  }

  /** The first n of `block` to `codes` from `at`; returns their scale. */
  quantize(block: Float32Array, n: number, codes: Uint8Array, at: number): number {
    let largest = 0
    for (let i = 0; i < n; i++) {
      const magnitude = Math.abs(block[i]!)
      if (magnitude > largest) largest = magnitude
    }
    const inverse = largest === 0 ? 0 : 1 / largest
    const [scaled, bits, table, ends] = [this.#scaled, this.#bits, this.#codes, this.#ends]
    for (let i = 0; i < n; i++) scaled[i] = block[i]! * inverse
    for (let i = 0; i < n; i++) {
      const code = table[bits[i]! >>> 16]!
      codes[at + i] = scaled[i]! > ends[code]! ? code + 1 : code
    }
    return largest
  }
}
