/** One optimizer step of AdamW with 8-bit moments, in the engine's thread: see adamw8bit.ts. */
import * as adamw from './adamwKernel.ts'
import { blockSize, Quantizer } from './blockwise.ts'

/** The vectors of a step. Codes, scales and whole values of a moment lie matrix by matrix. */
export type StepVectors = {
  readonly w: Float32Array
  readonly g: Float32Array
  readonly mCodes: Uint8Array
  readonly mScales: Float32Array
  readonly mWhole: Float32Array
  readonly vCodes: Uint8Array
  readonly vScales: Float32Array
  readonly vWhole: Float32Array
}

export type StepArguments = adamw.StepArguments & {
  /** Values of each matrix, and whether its moments have 8 bits. */
  readonly matrices: readonly { readonly size: number; readonly narrow: boolean }[]
}

const signed = new Quantizer(true)
const unsigned = new Quantizer(false)
const m = new Float32Array(blockSize)
const v = new Float32Array(blockSize)

/** Updates everything but g, in place; returns the norm of g before clipping. A norm that is not finite moves nothing. */
export default function step(vectors: StepVectors, { matrices, ...at }: StepArguments): number {
  const { w, g, mCodes, mScales, mWhole, vCodes, vScales, vWhole } = vectors
  const factors = adamw.factorsOf(g, at)
  if (!Number.isFinite(factors.norm)) return factors.norm

  let [from, code, scale, whole] = [0, 0, 0, 0]
  for (const { size, narrow } of matrices) {
    for (let end = from + size; from < end;) {
      const n = Math.min(blockSize, end - from)
      if (narrow) {
        const [mScale, vScale] = [mScales[scale]!, vScales[scale]!]
        for (let i = 0; i < n; i++) m[i] = signed.values[mCodes[code + i]!]! * mScale
        for (let i = 0; i < n; i++) v[i] = unsigned.values[vCodes[code + i]!]! * vScale
        adamw.update({ w, g, m, v }, from, 0, n, factors)
        mScales[scale] = signed.quantize(m, n, mCodes, code)
        vScales[scale] = unsigned.quantize(v, n, vCodes, code)
        scale++
        code += n
      } else {
        adamw.update({ w, g, m: mWhole, v: vWhole }, from, whole, n, factors)
        whole += n
      }
      from += n
    }
  }
  return factors.norm
}
