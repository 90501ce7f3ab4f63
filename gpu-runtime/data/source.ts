/** A file of rows: its bytes, and which of the formats they are in. */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { FormatError } from '../error.ts'

/**
 *     json      one JSON value a line, or an array of them
 *     task      one JSON object of a whole BIG-bench task
 *     csv       RFC 4180 with a header
 *     parquet   as the Hub keeps datasets
 *     pages     wikitext in its original layout
 */
export type RowFormat = 'json' | 'task' | 'csv' | 'parquet' | 'pages'

export type Source = {
  readonly path: string
  readonly format: RowFormat
  /** From the beginning, and unpacked. */
  chunks(): AsyncIterable<Buffer>
}

/** What the last part of a name that says anything says: `wiki.test.raw.old` is raw text. */
const formats: Readonly<Record<string, RowFormat>> = {
  jsonl: 'json',
  ndjson: 'json',
  json: 'json',
  csv: 'csv',
  parquet: 'parquet',
  raw: 'pages',
  txt: 'pages',
}

/**
 * The content decides where it can: Parquet and gzip begin with a mark of their own, JSON with a
 * bracket. The name tells CSV from running text, and a task (`.json`) from JSONL. Throws
 * FormatError for a `.parquet` that is none, and Parquet in gzip.
 */
export async function sourceOf(path: string): Promise<Source> {
  const packed = (await headOf(createReadStream(path))).subarray(0, 2).equals(gzipMark)
  const chunks = () => (packed ? unpack(path) : createReadStream(path, { highWaterMark: 2 ** 20 }))
  const head = await headOf(chunks())
  const parquet = head.subarray(0, 4).toString('latin1') === 'PAR1'
  if (parquet && packed)
    throw new FormatError(`${path}: Parquet in gzip; expected .parquet as it is`)
  const parts = basename(path).toLowerCase().split('.').slice(1)
  const suffix = parts.findLast((part) => Object.hasOwn(formats, part))
  const named = suffix === undefined ? 'json' : formats[suffix]!
  if (named === 'parquet' && !parquet)
    throw new FormatError(
      `${path}: expected Parquet, which begins with "PAR1", got ${JSON.stringify(head.subarray(0, 4).toString('latin1'))}`,
    )
  const opening = /^\ufeff?\s*([[{])/.exec(head.toString('utf8'))?.[1]
  const format = parquet
    ? 'parquet'
    : opening === '{' && suffix === 'json'
      ? 'task'
      : opening !== undefined && named === 'pages'
        ? 'json'
        : named
  return { path, format, chunks }
}

const gzipMark = Buffer.from([0x1f, 0x8b])

/** The first chunk that is more than blanks; empty where the file is. */
async function headOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  for await (const chunk of chunks) if (chunk.some((byte) => byte > 0x20)) return chunk
  return Buffer.alloc(0)
}

async function* unpack(path: string): AsyncGenerator<Buffer> {
  // The callback has nothing to do: what goes wrong reaches whoever reads the last stream.
  const chunks = pipeline(createReadStream(path), createGunzip({ chunkSize: 2 ** 18 }), () => {})
  try {
    yield* chunks as AsyncIterable<Buffer>
  } catch (cause) {
    if (!(cause as NodeJS.ErrnoException).code?.startsWith('Z_')) throw cause
    throw new FormatError(`${path}: not whole gzip: ${(cause as Error).message}`, { cause })
  }
}
