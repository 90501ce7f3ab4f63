/** Rows of Parquet, one row group in memory at a time. */
import { open } from 'node:fs/promises'
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { FormatError } from '../error.ts'
import { maxRowBytes, place, type Row } from './place.ts'
import type { Source } from './source.ts'

/**
 * Objects by column name as the same rows would be in JSON: lists and structs as arrays and
 * objects, 64-bit integers as numbers, dates as ISO text. Throws FormatError with the rows in
 * question where the file cannot be read or a row group is too large to hold.
 */
export async function* readParquet({ path }: Source): AsyncGenerator<Row> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const buffer: AsyncBuffer = {
      byteLength: size,
      async slice(start, end = size) {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start))
        const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
        return bytes.buffer.slice(0, bytesRead)
      },
    }
    const metadata = await parquetMetadataAsync(buffer).catch((cause: Error) => {
      throw new FormatError(
        `${path}: not whole Parquet: ${cause.message}; the index at the file's end is needed: is it cut short?`,
        { cause },
      )
    })
    let rowStart = 0
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows)
      if (group.total_byte_size > maxRowBytes)
        throw new FormatError(
          `${path}: rows ${rowStart} to ${rowEnd - 1} are one row group of ${group.total_byte_size} bytes, expected at most ${maxRowBytes}`,
        )
      const values = await parquetReadObjects({
        file: buffer,
        metadata,
        rowStart,
        rowEnd,
        compressors,
        parsers: { stringFromBytes: (bytes) => utf8.decode(bytes) },
      }).catch((cause: Error) => {
        throw new FormatError(
          `${path}: ${place(rowStart)} or one of the ${rowEnd - rowStart - 1} after it cannot be read: ${cause.message}`,
          { cause },
        )
      })
      for (const [i, value] of values.entries()) yield { row: rowStart + i, value: json(value) }
      rowStart = rowEnd
    }
  } finally {
    await file.close()
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A value as JSON has it. */
function json(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (value === undefined) return null
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map(json)
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, json)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, json(inner)]))
}
