import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { openRows, readRows } from '#gpu-runtime/data/rows.ts'
import { directoryOf } from '../files/directory.ts'

const fileOf = async (t: TestContext, content: string | Uint8Array) =>
  join(await directoryOf(t, { 'rows.json': content }), 'rows.json')

/** Streamed in order and read one by one, which must agree. */
async function read(t: TestContext, content: string | Uint8Array): Promise<unknown[]> {
  const path = await fileOf(t, content)
  const streamed = await Array.fromAsync(readRows(path))
  assert.deepEqual(
    streamed.map(({ row }) => row),
    streamed.map((_, i) => i),
  )
  const rows = await openRows(path)
  const onDemand = await Promise.all(Array.from({ length: rows.count }, (_, i) => rows.read(i)))
  await rows.close()
  const values = streamed.map(({ value }) => value)
  assert.deepEqual(onDemand, values)
  return values
}

const mark = '\ufeff'
const good: [name: string, content: string, rows: unknown[]][] = [
  ['lines', '{"a":1}\n{"a":2}\n', [{ a: 1 }, { a: 2 }]],
  ['a last line without a line break', '{"a":1}\n{"a":2}', [{ a: 1 }, { a: 2 }]],
  ['CRLF, blank lines and blanks', '\r\n{"a":1}\r\n\r\n  {"a":2} \r\n\r\n', [{ a: 1 }, { a: 2 }]],
  ['a byte order mark', `${mark}{"a":1}\n{"a":2}`, [{ a: 1 }, { a: 2 }]],
  ['an array', '[{"a":1},{"a":2}]', [{ a: 1 }, { a: 2 }]],
  [
    'an array over many lines',
    `${mark}\n[\n  {\n    "a": [1, {"b": "]"}]\n  },\n  {"a": "\\"[,"}\n]\n`,
    [{ a: [1, { b: ']' }] }, { a: '"[,' }],
  ],
  [
    'scalars and lists in an array',
    '[1, "x,]", null, [2, [3]], true]',
    [1, 'x,]', null, [2, [3]], true],
  ],
  ['an empty array', ' [ ] ', []],
  ['an empty file', '', []],
  ['nothing but blanks', '\n \r\n', []],
  ['text beyond ASCII', '{"a":"Führer 🚀\u2028"}\n', [{ a: 'Führer 🚀\u2028' }]],
]
for (const [name, content, rows] of good)
  test(`rows are read from ${name}`, async (t) => {
    assert.deepEqual(await read(t, content), rows)
  })

test('rows that lie across the chunks of a large file are whole', async (t) => {
  // 1 MiB chunks; rows of about 100 kB with characters of two bytes, escapes and brackets in text
  const rows = Array.from({ length: 40 }, (_, i) => ({ i, text: `é"\\[{,${i}`.repeat(9_000) }))
  assert.deepEqual(await read(t, rows.map((row) => JSON.stringify(row)).join('\n')), rows)
  assert.deepEqual(await read(t, JSON.stringify(rows)), rows)
  assert.deepEqual(await read(t, JSON.stringify(rows, null, 2)), rows)
})

test('rows can be read in any order, and are named by row and line', async (t) => {
  const rows = await openRows(await fileOf(t, '\n{"a":1}\n\n{"a":2}\n{"a":3}'))
  assert.equal(rows.count, 3)
  assert.deepEqual(await Promise.all([2, 0, 1, 2].map((i) => rows.read(i))), [
    { a: 3 },
    { a: 1 },
    { a: 2 },
    { a: 3 },
  ])
  assert.match(rows.where(1), /rows.json: row 1 \(line 4\)$/)
  await assert.rejects(rows.read(3), /no row 3, there are 3/)
  await rows.close()
})

const broken: [name: string, content: string | Uint8Array, message: RegExp][] = [
  [
    'a line that is not JSON',
    '{"a":1}\n{"a": x}\n',
    /rows.json: row 1 \(line 2\): not JSON at column 7: Unexpected token/,
  ],
  ['a line after blank ones', '\n\n{"a":1,}\n', /row 0 \(line 3\): not JSON at column 8/],
  [
    'a file that is cut short',
    '{"a":1}\n{"a": "long te',
    /row 1 \(line 2\): not JSON at column 7: .*; the file ends here: is it cut short\?/,
  ],
  ['two values on a line', '{"a":1} {"a":2}\n', /row 0 \(line 1\): not JSON at column 9/],
  [
    'bytes that are not UTF-8',
    Buffer.from([0x7b, 0x7d, 0x0a, 0x22, 0xff, 0x22, 0x0a]),
    /row 1 \(line 2\): not UTF-8/,
  ],
  [
    'a broken row in an array',
    '[\n {"a":1},\n {"a":\n  1 2}\n]',
    /row 1 \(line 3\): not JSON at line 4, column 5/,
  ],
  ['brackets that do not match', '[{"a":1],{"a":2}]', /row 0 \(line 1\): not JSON at column 7/],
  [
    'an array that is not closed',
    '[{"a":1},\n{"a":2}',
    /the file ends before the closing bracket; is it cut short\?.* on line 2, after 1 rows/,
  ],
  [
    'a comma at the end of an array',
    '[{"a":1},\n]',
    /a comma without a row on line 2, after 1 rows/,
  ],
  ['two commas', '[1,,2]', /a comma without a row on line 1, after 1 rows/],
  [
    'text after an array',
    '[1]\n[2]',
    /unexpected text after the closing bracket on line 2, after 1 rows/,
  ],
]
for (const [name, content, message] of broken)
  test(`${name} is refused, saying where`, async (t) => {
    const path = await fileOf(t, content)
    await assert.rejects(Array.fromAsync(readRows(path)), { name: 'FormatError', message })
    await assert.rejects(
      async () => {
        const rows = await openRows(path)
        try {
          for (let i = 0; i < rows.count; i++) await rows.read(i)
        } finally {
          await rows.close()
        }
      },
      { name: 'FormatError', message },
    )
  })

test('rows on demand are JSON’s only', async (t) => {
  const refused = async (content: string | Uint8Array, message: RegExp) =>
    assert.rejects(openRows(await fileOf(t, content)), { name: 'FormatError', message })
  await refused('PAR1\x15\x04', /expected JSONL or a JSON array, got Parquet/)
  await refused(Buffer.from([0x1f, 0x8b, 8, 0, 0]), /expected JSONL or a JSON array, got gzip/)
})

test('a file that does not exist is the system’s error', async () => {
  await assert.rejects(Array.fromAsync(readRows('/nonexistent/rows.jsonl')), { code: 'ENOENT' })
})
