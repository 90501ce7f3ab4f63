/** Codes and absmax against bitsandbytes (test/golden/nf4.py), bit by bit. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import test from 'node:test'
import {
  readBytes,
  readHeader,
  readTensor,
  type TensorInfo,
} from '#gpu-runtime/files/safetensors.ts'
import { quantizeAbsmax, type NestedAbsmax } from '#gpu-runtime/quantization/absmax.ts'
import { quantize, type Blocks } from '#gpu-runtime/quantization/nf4.ts'
import { readJson } from '../golden.ts'
import { dequantizeAbsmax, dequantize } from './reference.ts'

const { tensors } = await readHeader(resolve(import.meta.dirname, '../../golden/nf4.safetensors'))
const names = [...tensors.keys()].filter((n) => n.endsWith('.codes')).map((n) => n.slice(0, -6))

/** A part of a case, as bits: 0 and -0 are not the same. */
async function golden(name: string, part: string): Promise<Uint8Array | Uint32Array> {
  const info = tensors.get(`${name}.${part}`) as TensorInfo
  const bytes = await readBytes(info)
  return info.dtype === 'U8' ? new Uint8Array(bytes) : new Uint32Array(bytes)
}
const bits = (values: Float32Array) =>
  new Uint32Array(values.buffer, values.byteOffset, values.length)

/** The parts under bitsandbytes' names, less what we pad. */
function parts(
  { codes, absmax }: Blocks,
  nested: NestedAbsmax,
  elements: number,
): Record<string, Uint8Array | Float32Array> {
  const again = dequantizeAbsmax(nested).subarray(0, absmax.length)
  return {
    codes: codes.subarray(0, Math.ceil(elements / 2)),
    single_absmax: absmax,
    absmax: nested.codes.subarray(0, absmax.length),
    nested_absmax: nested.scales,
    nested_offset: Float32Array.of(nested.offset),
    dequantized_absmax: again,
    dequantized: dequantize(codes, again).subarray(0, elements),
  }
}

for (const name of names) {
  test(`${name}: codes, absmax and its double quantization equal bitsandbytes'`, async () => {
    const weight = await readTensor(tensors.get(`${name}.weight`)!)
    const blocks = quantize(weight, 'weight')
    const made = parts(blocks, quantizeAbsmax(blocks.absmax), weight.length)
    for (const [part, got] of Object.entries(made))
      assert.deepEqual(
        got instanceof Float32Array ? bits(got) : got,
        await golden(name, part),
        part,
      )
  })
}

test('332,352 weights in 5,193 blocks have bitsandbytes’ hashes', () => {
  const { rows, columns, sha256 } = readJson<{
    generated: { rows: number; columns: number; sha256: Record<string, string> }
  }>('nf4').generated
  const weight = Float32Array.from({ length: rows * columns }, (_, i) => {
    const hashed = Math.imul(i, 2654435761) >>> 8
    return Math.floor((hashed - 2 ** 23) / 2 ** ((i >> 6) % 5)) / 2 ** 24
  })
  const blocks = quantize(weight, 'weight')
  const made = parts(blocks, quantizeAbsmax(blocks.absmax), weight.length)
  for (const [part, { buffer, byteOffset, byteLength }] of Object.entries(made)) {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength)
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256[part], part)
  }
})

test('a value that is not finite is refused with its place', () => {
  for (const value of [NaN, Infinity, -Infinity]) {
    const weight = new Float32Array(200).fill(0.5)
    weight[130] = value
    assert.throws(
      () => quantize(weight, '"w"'),
      /"w": elements 128 to 191 hold a value that is not finite/,
    )
  }
})
