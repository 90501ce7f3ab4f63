/** Which rows are trained on and which are held out. */
import { FormatError } from '../error.ts'
import { stream } from '../random.ts'

export type SplitOptions = {
  readonly shuffle: boolean
  readonly seed: number
  /** Most rows in all; null for every row. */
  readonly limit: number | null
  /** Below 1 a fraction of the rows (rounded up), else a number of rows; 0 for none. */
  readonly testSize: number
}

/**
 * Row numbers: shuffled, then the first `limit`, of which the last are held out. With { limit: 4,
 * testSize: 0.25 } and the order 7 2 9 4 0 …: train [7, 2, 9], test [4]. A fraction leaves at least
 * one row to train on; throws FormatError when there is none, or when testSize as a number takes
 * all.
 */
export function split(
  count: number,
  { shuffle, seed, limit, testSize }: SplitOptions,
): { train: Int32Array; test: Int32Array } {
  const order = shuffle
    ? stream(seed, 'data/split').shuffle(count)
    : Int32Array.from({ length: count }, (_, i) => i)
  const rows = order.subarray(0, limit ?? count)
  if (rows.length === 0) throw new FormatError('the dataset has no rows, expected at least one')
  if (testSize < 0 || (testSize >= 1 && !Number.isInteger(testSize)))
    throw new FormatError(
      `testSize is ${testSize}, expected a fraction below 1 or a whole number of rows`,
    )
  const held =
    testSize < 1 ? Math.min(Math.ceil(rows.length * testSize), rows.length - 1) : testSize
  if (held >= rows.length)
    throw new FormatError(`testSize ${testSize} of ${rows.length} rows leaves none to train on`)
  return { train: rows.subarray(0, rows.length - held), test: rows.subarray(rows.length - held) }
}
