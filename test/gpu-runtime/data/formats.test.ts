import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readRows } from '#gpu-runtime/data/rows.ts'
import { directoryOf } from '../files/directory.ts'
import { shared, withoutShared } from '../shared.ts'

const golden = join(import.meta.dirname, '../../golden/rows')

const values = async (path: string): Promise<Record<string, unknown>[]> =>
  (await Array.fromAsync(readRows(path))).map(({ row, value }, i) => {
    assert.equal(row, i)
    return value as Record<string, unknown>
  })

async function file(t: TestContext, name: string, content: string | Uint8Array): Promise<string> {
  return join(await directoryOf(t, { [name]: content }), name)
}

/** Rows until the error, and the error. */
async function until(path: string): Promise<{ rows: unknown[]; message: string }> {
  const rows: unknown[] = []
  try {
    for await (const { value } of readRows(path)) rows.push(value)
  } catch (error) {
    assert.equal((error as Error).name, 'FormatError')
    assert.ok((error as Error).message.startsWith(`${path}: `), (error as Error).message)
    return { rows, message: (error as Error).message }
  }
  throw new Error('expected a FormatError')
}

const sha256 = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')

// ─ Parquet: golden/rows.py

test('Parquet that datasets wrote has the rows that it was made from: nested lists, structs, nulls, labels', async () => {
  const rows = await values(join(golden, 'rows.jsonl'))
  assert.equal(rows.length, 5)
  assert.deepEqual(await values(join(golden, 'datasets.parquet')), rows)
})

for (const codec of ['none', 'gzip', 'brotli', 'lz4', 'zstd'])
  test(`Parquet in ${codec} is read`, async () => {
    const rows = await values(join(golden, 'rows.jsonl'))
    assert.deepEqual(
      await values(join(golden, `${codec}.parquet`)),
      rows.map(({ question, choices }) => ({ question, choices })),
    )
  })

test('Parquet is known by its content, and what is cut short or damaged is refused', async (t) => {
  const bytes = await readFile(join(golden, 'zstd.parquet'))
  assert.equal((await values(await file(t, 'rows.jsonl', bytes))).length, 5)
  const cut = await until(await file(t, 'rows.parquet', bytes.subarray(0, 1500)))
  assert.match(cut.message, /not whole Parquet: .*is it cut short\?/)
  const other = await until(await file(t, 'rows.parquet', '{"a": 1}\n'))
  assert.match(other.message, /expected Parquet, which begins with "PAR1", got "\{\\"a\\""/)
  const damaged = Buffer.from(bytes)
  damaged.fill(0xff, 440, 540) // in pages of rows 2 and 3
  const { rows, message } = await until(await file(t, 'rows.parquet', damaged))
  assert.equal(rows.length, 2)
  assert.match(message, /row 2 \(counted from 0\) or one of the 1 after it cannot be read: /)
})

// ─ CSV

test('CSV: quotes, commas and line breaks inside them, CRLF, a byte order mark, blank lines', async (t) => {
  const text = '\ufeffa,b\r\n1,"x, ""y"""\r\n\r\n"two\nlines",\r\nÄ🚀," z "'
  assert.deepEqual(await values(await file(t, 'rows.csv', text)), [
    { a: '1', b: 'x, "y"' },
    { a: 'two\nlines', b: '' },
    { a: 'Ä🚀', b: ' z ' },
  ])
  assert.deepEqual(await values(await file(t, 'rows.csv', 'a,b\n')), [])
  assert.deepEqual(await values(await file(t, 'rows.csv.gz', gzipSync('a\n1\n'))), [{ a: '1' }])
})

test('CSV that is wrong is refused with its row and line, after the rows before it', async (t) => {
  const broken: [text: string | Uint8Array, rows: number, message: RegExp][] = [
    ['a,b\n1,2\n3\n', 1, /row 1 \(line 3\): Invalid Record Length: .* 2, got 1/],
    ['a,b\n1,2\n3,"4\n', 1, /row 1 \(line \d\): Quote Not Closed/],
    ['a,b\n1,2"x"\n', 0, /row 0 \(line 2\): Invalid Opening Quote/],
    ['a,a\n1,2\n', 0, /expected a header of distinct column names, got \["a","a"\]/],
    ['a,\n1,2\n', 0, /expected a header of distinct column names/],
    [Buffer.from([0x61, 0x0a, 0xff, 0x0a]), 0, /not UTF-8 soon after row 0/],
  ]
  for (const [text, rows, message] of broken) {
    const found = await until(await file(t, 'rows.csv', text))
    assert.equal(found.rows.length, rows, String(text))
    assert.match(found.message, message)
  }
})

test('CSV is streamed: rows come long before the end is read', async (t) => {
  const lines = Array.from({ length: 200_000 }, (_, i) => `${i},"some text"`)
  const path = await file(t, 'rows.csv', `a,b\n${lines.join('\n')}\n1,2,3\n`)
  const { rows, message } = await until(path)
  assert.equal(rows.length, 200_000)
  assert.match(message, /row 200000 \(line 200002\)/)
})

// ─ gzip

test('lines and arrays in gzip are read, and half a file is refused after the rows it has', async (t) => {
  const rows = Array.from({ length: 50_000 }, (_, i) => ({ i, text: `${i}`.repeat(3) }))
  const packed = gzipSync(rows.map((row) => JSON.stringify(row)).join('\n'))
  assert.deepEqual(await values(await file(t, 'rows.jsonl.gz', packed)), rows)
  assert.deepEqual(
    await values(await file(t, 'rows.json.gz', gzipSync(JSON.stringify(rows)))),
    rows,
  )
  const cut = await until(await file(t, 'rows.jsonl.gz', packed.subarray(0, packed.length / 2)))
  assert.match(cut.message, /not whole gzip: unexpected end of file/)
  assert.ok(cut.rows.length > 5000, `${cut.rows.length} rows`)
  const parquet = gzipSync(await readFile(join(golden, 'none.parquet')))
  assert.match((await until(await file(t, 'a.parquet.gz', parquet))).message, /Parquet in gzip/)
})

// ─ BIG-bench

test('a BIG-bench task: examples once each, choices in the file’s order, the task’s fields beside them', async (t) => {
  const text = `{"name": "films", "choice_prefix": "\\n- ", "examples": [
    {"input": "say \\"1\\": 2", "target_scores": {"b": 0, "1984": 1, "12": 0, "a": 0}},
    {"input": "say \\"1\\": 2", "target_scores": {"b": 0, "1984": 1, "12": 0, "a": 0}},
    {"input": "say \\"1\\": 2", "target_scores": {"1984": 1, "b": 0, "12": 0, "a": 0}},
    {"input": "no choices", "target": "x", "extra": {"7": [{"3": null}]}}
  ], "metrics": ["multiple_choice_grade"]}`
  const task = { name: 'films', choice_prefix: '\n- ', metrics: ['multiple_choice_grade'] }
  const scores = { b: 0, 1984: 1, 12: 0, a: 0 }
  assert.deepEqual(await values(await file(t, 'films.json', text)), [
    { input: 'say "1": 2', target_scores: scores, choices: ['b', '1984', '12', 'a'], task },
    { input: 'say "1": 2', target_scores: scores, choices: ['1984', 'b', '12', 'a'], task },
    { input: 'no choices', target: 'x', extra: { 7: [{ 3: null }] }, choices: [], task },
  ])
  const wrong = await until(await file(t, 'films.json', '{"examples": [{}, 7]}'))
  assert.match(wrong.message, /example 1 \(counted from 0\) is 7, expected an object/)
})

test('lines of JSON in a .json file are rows, and errors in them are placed', async (t) => {
  assert.deepEqual(await values(await file(t, 'a.json', '{"a":1}\n{"a":2}\n')), [
    { a: 1 },
    { a: 2 },
  ])
  const { message } = await until(await file(t, 'a.json', '{"a":1}\n{"a":}\n'))
  assert.match(message, /row 1 \(line 2\): not JSON at column 6/)
})

test(
  'BIG-bench choices of a file with numbers among its keys are those of Python’s json',
  { skip: withoutShared },
  async () => {
    const rows = await values(shared('data/bigbench-nous/movie_recommendation.json'))
    assert.deepEqual(rows[304]!['choices'], [
      '1984',
      'Good Night, and Good Luck',
      'Kiss of the Dragon',
      'District 9',
    ])
    assert.equal(
      sha256(rows.map(({ choices }) => choices)), // json.dumps([list(e["target_scores"]) for e in examples], separators=(",", ":"))
      '37ab5e03ec08f107ffbe232f15fb06bb07ee99d5ef06f024b23848717283348c',
    )
  },
)

// ─ wikitext

test('wikitext: pages begin at headings of the first level', async (t) => {
  const text = ' \n = A = \n \n x \n = = B = = \n y\r\n = C = \n'
  for (const name of ['wiki.test.raw', 'wiki.txt', 'wiki.test.raw.reconstructed'])
    assert.deepEqual(await values(await file(t, name, text)), [
      { page: ' = A = \n \n x \n = = B = = \n y' },
      { page: ' = C = \n' },
    ])
  assert.deepEqual(await values(await file(t, 'a.txt', 'no heading\n')), [{ page: 'no heading\n' }])
  assert.deepEqual(await values(await file(t, 'a.txt', ' \n')), [])
  assert.deepEqual(await values(await file(t, 'a.txt', '{"a":1}\n')), [{ a: 1 }])
  const bad = await until(await file(t, 'a.raw', Buffer.from('3d2061203d0aff0a', 'hex')))
  assert.match(bad.message, /not UTF-8 in or soon after row 0/)
})

test(
  'wikitext-2’s test set is 62 pages, the ones of lm-evaluation-harness’ dataset script',
  { skip: withoutShared },
  async () => {
    const rows = await values(shared('data/wikitext-2-raw/wiki.test.raw.reconstructed'))
    assert.equal(rows.length, 62)
    // of the pages that the script's _generate_examples yields, run in Python on the same file; detokenized and in the order of
    // random.Random(42) their requests hash to b6f83e6c…2b2c, which is what the harness recorded for its task
    assert.equal(
      sha256(rows.map(({ page }) => page)),
      'daa09588597cb6cef81d22b0f6d3262ce55c05d15994157ab5da1bb56d38e3e9',
    )
  },
)

// ─ every file that is there

test(
  'every file of rows has the number of rows that its task has',
  { skip: withoutShared },
  async () => {
    const expected = JSON.parse(
      await readFile(shared('data/conformance/lm-eval-v0.3.0/expected.json'), 'utf8'),
    ) as Record<string, { file: string; n_docs: number }>
    const counts = new Map(Object.values(expected).map(({ file: at, n_docs }) => [at, n_docs]))
    for (const [at, count] of Object.entries({
      // AGIEval's and BIG-bench's as published (the document counts behind the printed standard errors)
      'nous-normalised/agieval_aqua_rat.jsonl': 254,
      'nous-normalised/agieval_lsat_ar.jsonl': 230,
      'nous-normalised/agieval_sat_en.jsonl': 206,
      'nous-normalised/agieval_sat_math.jsonl': 220,
      'bigbench-nous/causal_judgement.json': 190,
      'bigbench-nous/date_understanding.json': 369,
      'bigbench-nous/disambiguation_qa.json': 258,
      'bigbench-nous/logical_deduction_five_objects.json': 500,
      'bigbench-nous/logical_deduction_three_objects.json': 300,
      'bigbench-nous/movie_recommendation.json': 500,
      'bigbench-nous/navigate.json': 1000,
      'bigbench-nous/snarks.json': 181,
      'bigbench-nous/temporal_sequences.json': 1000,
      'hellaswag/val_first500.jsonl': 500,
      'ifeval/input_data.jsonl': 541,
      'wikitext-2-raw/wiki.test.raw.reconstructed': 62,
    }))
      counts.set(at, count)
    let seen = 0
    for (const folder of [
      'nous-normalised',
      'bigbench-nous',
      'hellaswag',
      'mmlu/dev',
      'mmlu/test',
      'gsm8k',
      'ifeval',
      'wikitext-2-raw',
    ])
      for (const name of await readdir(shared(`data/${folder}`))) {
        if (!/\.(jsonl|json|csv|reconstructed)$/.test(name)) continue
        const at = `${folder}/${name}`
        const count = folder === 'mmlu/dev' ? 5 : counts.get(at) // five examples a subject
        assert.ok(count !== undefined, at)
        assert.equal((await values(shared(`data/${at}`))).length, count, at)
        seen++
      }
    assert.ok(seen >= 80, `${seen} files`)
  },
)

test('MMLU’s CSV is read as Python reads it', { skip: withoutShared }, async () => {
  const rows: unknown[] = []
  for (const split of ['dev', 'test'])
    for (const name of (await readdir(shared(`data/mmlu/${split}`))).toSorted())
      rows.push(...(await values(shared(`data/mmlu/${split}/${basename(name)}`))))
  // 1,856 rows of csv.DictReader; json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
  assert.equal(sha256(rows), '3193df13d9ca2c1b91aed73279b52df2c8f18eed1c83dc5637f531603d4b9cd1')
})
