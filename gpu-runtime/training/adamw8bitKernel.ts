/** One optimizer step of AdamW with 8-bit moments, in the engine's thread: see adamw8bit.ts. */
import type { AdamWSettings } from './adamw.ts'
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

export type StepArguments = {
  /** Values of each matrix, and whether its moments have 8 bits. */
  readonly matrices: readonly { readonly size: number; readonly narrow: boolean }[]
  readonly settings: AdamWSettings
  readonly step: number
  readonly rate: number
}

const signed = new Quantizer(true)
const unsigned = new Quantizer(false)
const m = new Float32Array(blockSize)
const v = new Float32Array(blockSize)

/** Updates everything but g, in place; returns the norm of g before clipping. A norm that is not finite moves nothing. */
export default function step(vectors: StepVectors, { matrices, settings, ...at }: StepArguments) {
  const { w, g, mCodes, mScales, mWhole, vCodes, vScales, vWhole } = vectors
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = settings
  let squares = 0
  for (let i = 0; i < g.length; i++) squares += g[i]! * g[i]!
  const norm = Math.sqrt(squares)
  if (!Number.isFinite(norm)) return norm
  const clip = Math.min(1, maxGradNorm / (norm + 1e-6))
  const keep = 1 - at.rate * weightDecay
  const stepSize = at.rate / (1 - beta1 ** at.step)
  const correction = 1 / Math.sqrt(1 - beta2 ** at.step)

  let [from, code, scale, whole] = [0, 0, 0, 0]
  for (const { size, narrow } of matrices) {
    for (let end = from + size; from < end;) {
      const n = Math.min(blockSize, end - from)
      if (narrow) {
        const [mScale, vScale] = [mScales[scale]!, vScales[scale]!]
        for (let i = 0; i < n; i++) m[i] = signed.values[mCodes[code + i]!]! * mScale
        for (let i = 0; i < n; i++) v[i] = unsigned.values[vCodes[code + i]!]! * vScale
      } else {
        m.set(mWhole.subarray(whole, whole + n))
        v.set(vWhole.subarray(whole, whole + n))
      }
      for (let i = 0; i < n; i++) {
        const gradient = g[from + i]! * clip
        const nextM = m[i]! * beta1 + gradient * (1 - beta1)
        const nextV = v[i]! * beta2 + gradient * gradient * (1 - beta2)
        m[i] = nextM
        v[i] = nextV
        w[from + i] =
          w[from + i]! * keep - (stepSize * nextM) / (Math.sqrt(nextV) * correction + epsilon)
      }
      if (narrow) {
        mScales[scale] = signed.quantize(m, n, mCodes, code)
        vScales[scale] = unsigned.quantize(v, n, vCodes, code)
        scale++
        code += n
      } else {
        mWhole.set(m.subarray(0, n), whole)
        vWhole.set(v.subarray(0, n), whole)
        whole += n
      }
      from += n
    }
  }
  return norm
}
