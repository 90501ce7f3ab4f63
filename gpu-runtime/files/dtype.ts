/**
 * The element types of safetensors, and the 16-bit floats that JavaScript has no arithmetic for.
 * Little-endian hosts only.
 */

/** Bytes per element. */
export const dtypeBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const

export type Dtype = keyof typeof dtypeBytes

export const isDtype = (name: unknown): name is Dtype =>
  typeof name === 'string' && Object.hasOwn(dtypeBytes, name)

/**
 * Round to the nearest bfloat16, ties to even; NaN stays NaN, and what is too large becomes
 * infinite. Returns the bits.
 */
export function toBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return Uint16Array.from(bits, (b) => {
    if ((b & 0x7fffffff) > 0x7f800000) return (b >>> 16) | 0x40 // rounding could carry a NaN into infinity
    return (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
  })
}

/** Exact: a bfloat16 is the upper half of a float32. */
export function fromBf16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i]! << 16 // Uint32Array.from is fifteen times as slow
  return new Float32Array(wide.buffer)
}
