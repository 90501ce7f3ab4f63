/**
 * Double quantization (QLoRA, section 3): the absmax of NF4's blocks, less their mean, in 8-bit codes with one scale for 256 of
 * them. As bitsandbytes does it on a CPU, down to the last bit: its kernel takes the code of the nearest of 65,536 grid points
 * in [-1, 1], not of the value itself.
 */
import { dynamicMap } from './dynamicMap.ts'
import { mean } from './mean.ts'

/** Absmax under one scale. */
export const nestedBlockSize = 256

/** What an absmax code stands for, as a part of its scale. */
export const absmaxLevels = dynamicMap(true)

const gridPoints = 65_536
/** The code nearest to each grid point, the lower of two that are as near. */
const nearest = new Uint8Array(gridPoints)
for (let point = 0, code = 0; point < gridPoints; point++) {
  const value = (2 * point) / (gridPoints - 1) - 1
  while (code < 255 && value > (absmaxLevels[code]! + absmaxLevels[code + 1]!) / 2) code++
  nearest[point] = code
}

/** The absmax of a tensor's blocks, quantized. */
export type NestedAbsmax = {
  /** Codes into `absmaxLevels`, padded with zeros to whole blocks of 256. */
  readonly codes: Uint8Array
  /** One for each 256 codes. */
  readonly scales: Float32Array
  /** Added to what codes and scales give. */
  readonly offset: number
}

/** Of one value at least. */
export function quantizeAbsmax(absmax: Float32Array): NestedAbsmax {
  const offset = mean(absmax)
  const centred = absmax.map((value) => value - offset)
  const scales = new Float32Array(Math.ceil(absmax.length / nestedBlockSize))
  const codes = new Uint8Array(scales.length * nestedBlockSize)
  for (let b = 0; b < scales.length; b++) {
    const start = b * nestedBlockSize
    const block = centred.subarray(start, start + nestedBlockSize)
    for (const value of block) scales[b] = Math.max(scales[b]!, Math.abs(value))
    if (scales[b] === 0) continue // bitsandbytes leaves the codes at 0
    const scale = Math.fround(1 / scales[b]!)
    block.forEach((value, i) => (codes[start + i] = nearest[gridPoint(value * scale)]!))
  }
  return { codes, scales, offset }
}

/** Rounded after every operation, as float32 is: values half-way between two points go where they go there. */
function gridPoint(value: number): number {
  const inRange = Math.min(1, Math.max(-1, Math.fround(value)))
  const part = Math.fround(Math.fround(inRange + 1) * 0.5)
  return Math.trunc(Math.fround(Math.fround(part * (gridPoints - 1)) + 0.5))
}
