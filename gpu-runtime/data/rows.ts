/**
 * Rows of a file: streamed in order from every format (source.ts), or, of JSON, read on demand by
 * number. Rows are numbered from 0.
 */
import { open } from 'node:fs/promises'
import { FormatError } from '../error.ts'
import { jsonErrorOffset } from '../files/json.ts'
import { readTask } from './bigBench.ts'
import { readCsv } from './csv.ts'
import { readPages } from './pages.ts'
import { readParquet } from './parquet.ts'
import { place, type Row } from './place.ts'
import { scanRows } from './rowScan.ts'
import { sourceOf, type RowFormat, type Source } from './source.ts'

export { place }

export type Rows = {
  readonly count: number
  /** Parse row `i`. Throws FormatError with file, row, line and column when it is not JSON. */
  read(i: number): Promise<unknown>
  /** "FILE: row 17 (line 18)", for messages about its content. */
  where(i: number): string
  close(): Promise<void>
}

/**
 * Every row, parsed, in order; memory holds one row, or what its format makes one piece: a row
 * group of Parquet, a page of wikitext, a task of BIG-bench. Throws FormatError with file and row
 * at the first that is wrong.
 */
export async function* readRows(path: string): AsyncGenerator<Row> {
  const source = await sourceOf(path)
  yield* readers[source.format](source)
}

const readers: { readonly [F in RowFormat]: (source: Source) => AsyncGenerator<Row> } = {
  json: readJson,
  csv: readCsv,
  parquet: readParquet,
  pages: readPages,
  async *task(source) {
    yield* (await readTask(source)) ?? readJson(source)
  },
}

async function* readJson({ path, chunks }: Source): AsyncGenerator<Row> {
  for await (const { row, line, bytes, last } of scanRows(path, chunks()))
    yield { row, value: parse(bytes, { path, row, line, last }) }
}

/**
 * Index a JSONL file or a JSON array: 24 bytes a row stay in memory, the rows on disk until they are read. The file
 * must not change while open.
 */
export async function openRows(path: string): Promise<Rows> {
  const offsets: number[] = []
  const lengths: number[] = []
  const lines: number[] = []
  let endsOpen = false
  for await (const { line, offset, bytes, last } of scanRows(path)) {
    offsets.push(offset)
    lengths.push(bytes.length)
    lines.push(line)
    endsOpen = last
  }
  const file = await open(path, 'r')
  const count = offsets.length
  const check = (i: number) => {
    if (!Number.isInteger(i) || i < 0 || i >= count)
      throw new RangeError(`${path}: no row ${i}, there are ${count}`)
  }
  return {
    count,
    async read(i) {
      check(i)
      const bytes = Buffer.alloc(lengths[i]!)
      await file.read(bytes, 0, bytes.length, offsets[i]!)
      return parse(bytes, { path, row: i, line: lines[i]!, last: endsOpen && i === count - 1 })
    },
    where(i) {
      check(i)
      return `${path}: ${place(i, lines[i])}`
    },
    close: () => file.close(),
  }
}

function parse(
  bytes: Buffer,
  { path, row, line, last }: { path: string; row: number; line: number; last: boolean },
): unknown {
  let text: string | undefined
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return JSON.parse(text)
  } catch (cause) {
    const where = `${path}: ${place(row, line)}`
    if (text === undefined) throw new FormatError(`${where}: not UTF-8`, { cause })
    const before = text.slice(0, jsonErrorOffset(text)).split('\n')
    const at = before.length === 1 ? '' : `line ${line + before.length - 1}, `
    const hint = last ? '; the file ends here: is it cut short?' : ''
    throw new FormatError(
      `${where}: not JSON at ${at}column ${before.at(-1)!.length + 1}: ${(cause as Error).message}${hint}`,
      { cause },
    )
  }
}
