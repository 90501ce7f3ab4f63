/**
 * Rows in a form that does not depend on how they are stored, so that JSONL, Parquet and CSV of the same rows have the same hash.
 *
 *     { "label": 3, "endings": ["a"], "note": null, "id": 7 }        columns label, endings, note
 *     {"endings":["a"],"label":"3"}                                  keys sorted, numbers as text, what is null left out
 */
import { createHash } from 'node:crypto'
import { sources } from '#schema/sources.ts'
import { readRows } from './rows.ts'

/** Number of rows, and sha256 in hex over their canonical JSON with a line break after each. */
export type Checksum = { readonly rows: number; readonly sha256: string }

/** Throws FormatError as reading the file does. */
export async function checksum(path: string, columns: readonly string[]): Promise<Checksum> {
  const hash = createHash('sha256')
  let rows = 0
  for await (const { value } of readRows(path)) {
    hash.update(`${canonicalRow(value, columns)}\n`)
    rows++
  }
  return { rows, sha256: hash.digest('hex') }
}

/**
 * Why the rows of a file are not those of the source `key` ("arc_easy/test"), as a sentence; null where they are, or where nothing is
 * known against them. What is not known of a source, its hash, is not compared.
 */
export async function rowsDiffer(key: string, path: string): Promise<string | null> {
  const source = sources.get(key)
  if (source === undefined) return null
  const found = await checksum(path, source.columns)
  const these = `these are not the rows of ${key}${source.hub === null ? '' : ` (${source.hub.id})`}`
  if (found.rows !== source.rows)
    return `${path}: ${these}: expected ${source.rows} rows, got ${found.rows}`
  if (source.sha256 !== null && found.sha256 !== source.sha256)
    return `${path}: ${these}: expected canonical rows with sha256 ${source.sha256}, got ${found.sha256}`
  return null
}

/** The named columns of a row. A column of lists that CSV spells as `choice0`, `choice1`, … is `choices`. */
export function canonicalRow(value: unknown, columns: readonly string[]): string {
  const row = (value ?? {}) as Readonly<Record<string, unknown>>
  const kept = columns.map((name) => [name, row[name] ?? numbered(row, name)])
  return canonical(Object.fromEntries(kept))
}

function numbered(row: Readonly<Record<string, unknown>>, plural: string): unknown[] | undefined {
  const name = plural.replace(/s$/, '')
  const list: unknown[] = []
  while (row[`${name}${list.length}`] !== undefined) list.push(row[`${name}${list.length}`])
  return list.length === 0 ? undefined : list
}

/** JSON text; written out here because an object would put keys such as "12" before all others. */
function canonical(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object') return JSON.stringify(String(value as string | number | boolean))
  const entries = Object.entries(value)
    .filter(([, inner]) => inner !== null && inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`
}
