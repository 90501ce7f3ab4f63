/**
 * Where the rows of a JSONL file or of a JSON array are, found in one pass over the bytes without
 * parsing them.
 */
import { createReadStream } from 'node:fs'
import { FormatError } from '../error.ts'
import { maxRowBytes } from './place.ts'

/** One row's JSON text, in bytes. */
export type RawRow = {
  /** 0-based. */
  readonly row: number
  /** 1-based line on which it begins. */
  readonly line: number
  /** Byte offset in the file. */
  readonly offset: number
  readonly bytes: Buffer
  /**
   * The file ends right after it, with no line break: what a download that was cut short looks
   * like.
   */
  readonly last: boolean
}

const newline = 0x0a
const quote = 0x22
const comma = 0x2c
const opening = 0x5b
const backslash = 0x5c
const closing = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
const isBlank = (byte: number) =>
  byte === 0x20 || byte === newline || byte === 0x0d || byte === 0x09

/**
 * The rows of the file in order, from its bytes or what they were packed from. A file whose first character is `[` is a JSON array, any other has
 * one value a line; a byte order mark, CRLF, blank lines and a last line without a line break are
 * all fine. Throws FormatError where an array is not well-formed between its rows; the rows
 * themselves are not looked into.
 */
export async function* scanRows(
  path: string,
  chunks: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: 2 ** 20 }),
): AsyncGenerator<RawRow> {
  let split: (((chunk: Buffer) => RawRow[]) & { end(): RawRow[] }) | null = null
  let head = Buffer.alloc(0)
  let line = 1
  for await (const chunk of chunks) {
    if (split !== null) {
      yield* split(chunk)
      continue
    }
    // Until something other than blanks has come, the kind of file is not known.
    head = Buffer.concat([head, chunk])
    if (head.length < 4 && chunk.length > 0 && !head.some((byte) => !isBlank(byte))) continue
    const mark = head.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0
    let start = mark
    while (start < head.length && isBlank(head[start]!)) if (head[start++] === newline) line++
    if (start === head.length) continue
    refuseOthers(head, path)
    split =
      head[start] === opening
        ? arraySplitter(path, start + 1, line)
        : lineSplitter(path, start, line)
    yield* split(head.subarray(head[start] === opening ? start + 1 : start))
    head = Buffer.alloc(0)
  }
  if (split !== null) yield* split.end()
}

function refuseOthers(head: Buffer, path: string) {
  const found =
    head.subarray(0, 4).toString('latin1') === 'PAR1'
      ? 'Parquet'
      : head[0] === 0x1f && head[1] === 0x8b
        ? 'gzip'
        : null
  if (found !== null) throw new FormatError(`${path}: expected JSONL or a JSON array, got ${found}`)
}

/** The bytes of the row that is being read, over several chunks. */
function collector(path: string) {
  const parts: Buffer[] = []
  let size = 0
  return {
    add(part: Buffer) {
      size += part.length
      if (size > maxRowBytes)
        throw new FormatError(
          `${path}: a row of more than ${maxRowBytes} bytes; are its line breaks missing?`,
        )
      parts.push(part)
    },
    take(): Buffer {
      const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      parts.length = 0
      size = 0
      return bytes
    },
  }
}

function lineSplitter(path: string, offset: number, line: number) {
  const held = collector(path)
  let row = 0
  const take = (last: boolean): RawRow[] => {
    const bytes = held.take()
    const raw = { row, line, offset, last, bytes }
    offset += bytes.length + 1
    line++
    if (bytes.every(isBlank)) return []
    row++
    return [raw]
  }
  const push = (chunk: Buffer): RawRow[] => {
    const rows: RawRow[] = []
    for (let from = 0; ;) {
      const end = chunk.indexOf(newline, from)
      if (end === -1) {
        held.add(chunk.subarray(from))
        return rows
      }
      held.add(chunk.subarray(from, end))
      rows.push(...take(false))
      from = end + 1
    }
  }
  return Object.assign(push, { end: () => take(true) })
}

function arraySplitter(path: string, start: number, line: number) {
  const held = collector(path)
  let position = start // of the next chunk in the file
  let row = 0
  let rowStart = -1 // −1: between rows
  let rowLine = line
  let depth = 0
  let inText = false
  let escaped = false
  let needsRow = false // after a comma
  let closed = false
  const fail = (problem: string) =>
    new FormatError(`${path}: ${problem} on line ${line}, after ${row} rows of a JSON array`)

  const push = (chunk: Buffer): RawRow[] => {
    const rows: RawRow[] = []
    let from = 0
    const take = (end: number) => {
      held.add(chunk.subarray(from, end))
      const bytes = held.take()
      rows.push({ row: row++, line: rowLine, offset: rowStart, bytes, last: false })
      rowStart = -1
    }
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (byte === newline) line++
      if (inText) {
        if (escaped) escaped = false
        else if (byte === backslash) escaped = true
        else if (byte === quote) inText = false
        continue
      }
      if (isBlank(byte)) continue
      if (closed) throw fail(`unexpected text after the closing bracket`)
      if (depth === 0 && (byte === comma || byte === closing)) {
        if (rowStart !== -1) take(i)
        else if (byte === comma || needsRow) throw fail('a comma without a row')
        needsRow = byte === comma
        closed = byte === closing
        continue
      }
      if (rowStart === -1) {
        rowStart = position + i
        rowLine = line
        from = i
      }
      if (byte === quote) inText = true
      else if (byte === openBrace || byte === opening) depth++
      else if (byte === closeBrace || byte === closing) depth = Math.max(0, depth - 1)
    }
    if (rowStart !== -1) held.add(chunk.subarray(from))
    position += chunk.length
    return rows
  }
  return Object.assign(push, {
    end(): RawRow[] {
      if (!closed)
        throw fail('the file ends before the closing bracket; is it cut short?: expected "]"')
      return []
    },
  })
}
