/**
 * Rows of a JSONL file or a JSON array: streamed in order, or read on demand by number. Rows are
 * numbered from 0.
 */
import { open } from 'node:fs/promises'
import { FormatError } from '../error.ts'
import { jsonErrorOffset } from '../files/json.ts'
import { scanRows } from './rowScan.ts'

export type Rows = {
  readonly count: number
  /** Parse row `i`. Throws FormatError with file, row, line and column when it is not JSON. */
  read(i: number): Promise<unknown>
  /** "FILE: row 17 (line 18)", for messages about its content. */
  where(i: number): string
  close(): Promise<void>
}

/** How messages name a row: rows count from 0 as in Python, lines from 1 as in editors. */
export const place = (row: number, line?: number): string =>
  line === undefined ? `row ${row} (counted from 0)` : `row ${row} (line ${line})`

/**
 * Every row, parsed, in order; memory holds one row of JSONL or of an array. Throws FormatError at
 * the first that is not JSON.
 */
export async function* readRows(path: string): AsyncGenerator<{ row: number; value: unknown }> {
  for await (const { row, line, bytes, last } of scanRows(path))
    yield { row, value: parse(bytes, { path, row, line, last }) }
}

/**
 * Index the file: 24 bytes a row stay in memory, the rows on disk until they are read. The file
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
