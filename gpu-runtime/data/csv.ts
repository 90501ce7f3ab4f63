/** Rows of CSV with a header (RFC 4180): every value is text. */
import { Readable, pipeline } from 'node:stream'
import { parse, type CsvError } from 'csv-parse'
import { FormatError } from '../error.ts'
import { maxRowBytes, place, type Row } from './place.ts'
import type { Source } from './source.ts'

/**
 * Objects by column name, streamed. Throws FormatError with the row and its line where quotes or
 * the number of columns are wrong, and where the header names a column twice or not at all.
 */
export async function* readCsv({ path, chunks }: Source): AsyncGenerator<Row> {
  let row = 0
  // As an error of the stream it would overtake the rows before it.
  let failure: CsvError | null = null
  const parser = parse({
    bom: true,
    columns: (header: string[]) => expectNames(header, path),
    record_delimiter: ['\r\n', '\n', '\r'],
    skip_empty_lines: true,
    max_record_size: maxRowBytes,
    skip_records_with_error: true,
    on_skip: (error) => void (failure ??= error ?? null),
  })
  const text = decoded(chunks(), path, { row: () => row, failed: () => failure !== null })
  const check = () => {
    if (failure === null || row < Number(failure['records'])) return
    const where = `${path}: ${place(row, Number(failure['lines']))}`
    throw new FormatError(`${where}: ${failure.message}`, { cause: failure })
  }
  const records = pipeline(Readable.from(text), parser, () => {})
  for await (const value of records as AsyncIterable<Record<string, string>>) {
    check()
    yield { row: row++, value }
  }
  check()
}

function expectNames(header: readonly string[], path: string): string[] {
  const wrong = header.find((name, i) => name === '' || header.indexOf(name) !== i)
  if (wrong !== undefined)
    throw new FormatError(
      `${path}: expected a header of distinct column names, got ${JSON.stringify(header).slice(0, 200)}`,
    )
  return [...header]
}

async function* decoded(
  chunks: AsyncIterable<Buffer>,
  path: string,
  { row, failed }: { row: () => number; failed: () => boolean },
) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  try {
    for await (const chunk of chunks) {
      if (failed()) return
      yield decoder.decode(chunk, { stream: true })
    }
    yield decoder.decode()
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new FormatError(`${path}: not UTF-8 soon after ${place(row())}`, { cause })
  }
}
