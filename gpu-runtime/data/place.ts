/** Rows as messages name them, and as readers give them. */

export type Row = {
  /** 0-based. */
  readonly row: number
  readonly value: unknown
}

/** How messages name a row: rows count from 0 as in Python, lines from 1 as in editors. */
export const place = (row: number, line?: number): string =>
  line === undefined ? `row ${row} (counted from 0)` : `row ${row} (line ${line})`

/** A row, or what must be read to find one (a task file, a page, a row group), is held in memory as a whole. */
export const maxRowBytes = 2 ** 28
