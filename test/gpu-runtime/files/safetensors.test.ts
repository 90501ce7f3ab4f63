import assert from 'node:assert/strict'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { toBf16 } from '#gpu-runtime/files/dtype.ts'
import {
  readHeader,
  readTensor,
  writeSafetensors,
  type NewTensor,
} from '#gpu-runtime/files/safetensors.ts'
import { shared, withoutShared } from '../shared.ts'
import { directoryOf } from './directory.ts'

/** A file as the format describes it, made without the writer under test. */
function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, data])
}

const f32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)

test('a header gives dtype, shape and absolute offset; values are widened to float32', async (t) => {
  const header = {
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 1], data_offsets: [0, 8] },
    b: { dtype: 'BF16', shape: [2], data_offsets: [8, 12] },
    c: { dtype: 'F16', shape: [], data_offsets: [12, 14] },
    empty: { dtype: 'F32', shape: [0, 3], data_offsets: [14, 14] },
    ids: { dtype: 'I64', shape: [1], data_offsets: [14, 22] },
  }
  const half = [0x80, 0x3f, 0x20, 0xc0, 0x00, 0x3e] // bf16 1 and −2.5, f16 1.5
  const directory = await directoryOf(t, {
    'm.safetensors': file(
      header,
      Buffer.concat([f32(1, -0.5), Buffer.from(half), Buffer.alloc(8)]),
    ),
  })
  const path = join(directory, 'm.safetensors')
  const { tensors, metadata } = await readHeader(path)
  const start = 8 + JSON.stringify(header).length
  assert.deepEqual(tensors.get('b'), {
    name: 'b',
    dtype: 'BF16',
    shape: [2],
    file: path,
    offset: start + 8,
    bytes: 4,
  })
  assert.deepEqual(metadata, { format: 'pt' })
  assert.deepEqual([...(await readTensor(tensors.get('a')!))], [1, -0.5])
  assert.deepEqual([...(await readTensor(tensors.get('b')!))], [1, -2.5])
  assert.deepEqual([...(await readTensor(tensors.get('c')!))], [1.5])
  assert.deepEqual([...(await readTensor(tensors.get('empty')!))], [])
  await assert.rejects(
    readTensor(tensors.get('ids')!),
    /tensor "ids" is I64, expected F32, F16 or BF16/,
  )
})

const tensor = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})
const oversized = Buffer.alloc(16)
oversized.writeBigUInt64LE(100_000_001n)

const broken: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ['an empty file', Buffer.alloc(0), /0 bytes, expected at least the 8/],
  ['a file of seven bytes', Buffer.alloc(7), /7 bytes, expected at least the 8/],
  [
    'a header longer than the file',
    file({ a: tensor(0, 4) }, f32(1)).subarray(0, 30),
    /header ends at byte \d+, but the file has 30/,
  ],
  ['a header above 100 MB', oversized, /header of 100000001 bytes, expected at most 100000000/],
  [
    'another format',
    Buffer.from('PK\x03\x04 some zip archive'),
    /expected at most 100000000; is this a safetensors file/,
  ],
  ['a header that is not JSON', file('{"a": '), /the header is not JSON in UTF-8/],
  [
    'a header that is not UTF-8',
    Buffer.concat([file('{"__"}').subarray(0, 10), Buffer.from([0xff, 0xfe, 0x22, 0x7d])]),
    /the header is not JSON in UTF-8/,
  ],
  ['a header that is a list', file([]), /expected the header to be a JSON object/],
  [
    'metadata that are not strings',
    file({ __metadata__: { n: 1 } }),
    /expected __metadata__ to map strings to strings/,
  ],
  ['a tensor without description', file({ a: null }), /tensor "a" is not described by an object/],
  [
    'an unknown dtype',
    file({ a: { dtype: 'F33', shape: [1], data_offsets: [0, 4] } }, f32(1)),
    /tensor "a" has dtype "F33", expected one of F64, F32/,
  ],
  [
    'a dtype that every object inherits',
    file({ a: { dtype: 'toString', shape: [1], data_offsets: [0, 4] } }, f32(1)),
    /has dtype "toString"/,
  ],
  [
    'a negative size',
    file({ a: tensor(0, 4, [-1]) }, f32(1)),
    /tensor "a" has shape \[-1\], expected non-negative integers/,
  ],
  ['a size that is not whole', file({ a: tensor(0, 4, [1.5]) }, f32(1)), /has shape \[1.5\]/],
  [
    'offsets the wrong way round',
    file({ a: tensor(4, 0, [1]) }, f32(1)),
    /has data_offsets \[4,0\], expected \[begin, end\]/,
  ],
  ['no offsets', file({ a: { dtype: 'F32', shape: [1] } }, f32(1)), /has data_offsets undefined/],
  [
    'bytes that do not fit the shape',
    file({ a: tensor(0, 4, [2]) }, f32(1)),
    /tensor "a" has 4 bytes, expected 8 for F32 \[2\]/,
  ],
  [
    'a shape whose size overflows',
    file({ a: tensor(0, 4, [2 ** 52, 2 ** 52]) }, f32(1)),
    /has 4 bytes, expected 8\.\d+e\+31/,
  ],
  [
    'a tensor beyond the end',
    file({ a: tensor(0, 8) }, f32(1)),
    /tensor "a" ends at byte \d+, but the file has \d+/,
  ],
  [
    'tensors that overlap',
    file({ a: tensor(0, 8), b: tensor(4, 12) }, f32(1, 2, 3)),
    /tensor "b" starts at byte \d+, inside another/,
  ],
  [
    'a hole between tensors',
    file({ a: tensor(0, 4), b: tensor(8, 12) }, f32(1, 2, 3)),
    /bytes \d+ to \d+, before tensor "b", belong to no tensor/,
  ],
  [
    'bytes after the last tensor',
    file({ a: tensor(0, 4) }, f32(1, 2)),
    /the tensors end at byte \d+, but the file has \d+/,
  ],
  [
    'a name that occurs twice',
    file(
      `{"a":${JSON.stringify(tensor(0, 4))},"\\u0061":${JSON.stringify(tensor(4, 8))}}`,
      f32(1, 2),
    ),
    /tensor "a" occurs twice/,
  ],
]
for (const [name, bytes, message] of broken)
  test(`${name} is refused, naming file and reason`, async (t) => {
    const path = join(await directoryOf(t, { 'm.safetensors': bytes }), 'm.safetensors')
    await assert.rejects(readHeader(path), (error: Error) => {
      assert.equal(error.name, 'FormatError')
      assert.ok(error.message.startsWith(path))
      assert.match(error.message, message)
      return true
    })
  })

test('cutting a good file anywhere is noticed', async (t) => {
  const whole = file({ a: tensor(0, 8), b: tensor(8, 12) }, f32(1, 2, 3))
  const path = join(await directoryOf(t, { 'm.safetensors': whole }), 'm.safetensors')
  assert.equal((await readHeader(path)).tensors.size, 2)
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length))
    await assert.rejects(readHeader(path), { name: 'FormatError' }, `cut to ${length} bytes`)
  }
})

test('what is written is read back, and the same tensors give the same bytes in any order', async (t) => {
  const directory = await directoryOf(t, {})
  const tensors: NewTensor[] = [
    { name: 'b', dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    { name: 'rounded', dtype: 'BF16', shape: [2], data: Float32Array.of(1.003, -3) },
    { name: '7', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
    { name: 'half', dtype: 'F16', shape: [1], data: Float32Array.of(0.1) },
    { name: 'step', dtype: 'I64', shape: [], data: BigInt64Array.of(9n) },
    { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(5) },
  ]
  const [one, two] = [join(directory, 'one'), join(directory, 'two')]
  await writeSafetensors(one, tensors, { z: '1', format: 'pt' })
  await writeSafetensors(two, tensors.toReversed(), { format: 'pt', z: '1' })
  const bytes = await readFile(one)
  assert.deepEqual(await readFile(two), bytes)
  assert.equal(Number(bytes.readBigUInt64LE()) % 8, 0)
  const { tensors: read, metadata } = await readHeader(one)
  assert.deepEqual([...read.keys()].toSorted(), ['7', 'a', 'b', 'half', 'rounded', 'step'])
  for (const info of read.values())
    assert.equal(info.offset % { I64: 8, F32: 4, BF16: 2, F16: 2, U8: 1 }[info.dtype as 'F32'], 0)
  assert.deepEqual(metadata, { format: 'pt', z: '1' })
  assert.deepEqual([...(await readTensor(read.get('b')!))], [1, 2, 3, 4])
  assert.deepEqual([...(await readTensor(read.get('rounded')!))], [1, -3])
  assert.deepEqual([...(await readTensor(read.get('half')!))], [Math.f16round(0.1)])
  assert.deepEqual((await readdir(directory)).toSorted(), ['one', 'two'], 'no temporary file stays')
})

test('a write that fails leaves the old file and no other', async (t) => {
  const directory = await directoryOf(t, { 'm.safetensors': 'old' })
  const path = join(directory, 'm.safetensors')
  const wrong: NewTensor = { name: 'a', dtype: 'F32', shape: [2], data: Float32Array.of(1) }
  await assert.rejects(
    writeSafetensors(path, [wrong]),
    /tensor "a" has 4 bytes, expected 8 for F32 \[2\]/,
  )
  await assert.rejects(writeSafetensors(join(directory, 'none', 'm'), []), { code: 'ENOENT' })
  assert.equal(await readFile(path, 'utf8'), 'old')
  assert.deepEqual(await readdir(directory), ['m.safetensors'])
})

test('bfloat16 is rounded to nearest, ties to even; NaN and infinity survive', () => {
  const bits = (value: number) => toBf16(Float32Array.of(value))[0]!
  const from = (word: number) => new Float32Array(Uint32Array.of(word).buffer)[0]!
  assert.equal(bits(1), 0x3f80)
  assert.equal(bits(from(0x3f808000)), 0x3f80) // tie, to even below
  assert.equal(bits(from(0x3f818000)), 0x3f82) // tie, to even above
  assert.equal(bits(from(0x3f808001)), 0x3f81)
  assert.equal(bits(-0), 0x8000)
  assert.equal(bits(Infinity), 0x7f80)
  assert.equal(bits(3.4e38), 0x7f80) // above the largest bfloat16
  assert.equal(toBf16(new Float32Array(Uint32Array.of(0x7f800001).buffer))[0]! & 0x7fff, 0x7fc0) // a NaN whose upper half is infinity
})

test(
  'the headers of a real model hold its 260,032 parameters',
  { skip: withoutShared },
  async () => {
    const { tensors } = await readHeader(shared('data/stories260K/hf-derived/model.safetensors'))
    const parameters = [...tensors.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    )
    assert.equal(parameters, 260_032) // PROVENANCE.md of stories260K
  },
)
