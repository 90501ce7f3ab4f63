/** What codes stand for, rounded to float32 after every operation: as bitsandbytes dequantizes. */
import {
  absmaxLevels,
  nestedBlockSize,
  type NestedAbsmax,
} from '#gpu-runtime/quantization/absmax.ts'
import { blockSize, levels } from '#gpu-runtime/quantization/nf4.ts'

export const dequantizeAbsmax = ({ codes, scales, offset }: NestedAbsmax): Float32Array =>
  Float32Array.from(codes, (code, i) => {
    const scaled = Math.fround(absmaxLevels[code]! * scales[Math.floor(i / nestedBlockSize)]!)
    return scaled + offset
  })

export const dequantize = (codes: Uint8Array, absmax: Float32Array): Float32Array =>
  Float32Array.from({ length: codes.length * 2 }, (_, i) => {
    const pair = codes[i >> 1]!
    return levels[i % 2 === 0 ? pair >> 4 : pair & 15]! * absmax[Math.floor(i / blockSize)]!
  })
