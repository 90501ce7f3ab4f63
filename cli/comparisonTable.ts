/** A stored comparison as a table for terminals. */
import { table } from './output.ts'

export type ComparisonRow = {
  readonly task: string
  readonly metric: string
  readonly n: number
  readonly baseline: number
  readonly candidate: number
  readonly difference: number
  /** Null where too few samples could be paired. */
  readonly low: number | null
  readonly high: number | null
  /** MIN for perplexities, which are no percentages. */
  readonly goal?: 'MAX' | 'MIN'
  readonly level: number
  readonly pValue: number
}

type Scale = Pick<ComparisonRow, 'goal'>
const value = (x: number, { goal }: Scale): string =>
  goal === 'MIN' ? x.toFixed(4) : `${(100 * x).toFixed(1)}%`
const signed = (x: number, { goal }: Scale): string =>
  (x < 0 ? '−' : '+') + (goal === 'MIN' ? Math.abs(x).toFixed(4) : (100 * Math.abs(x)).toFixed(1))

/** 0.0312 → 0.031, 1.2e-37 → 1e-37 */
export const pValue = (p: number): string =>
  p >= 0.001 ? p.toFixed(3) : p === 0 ? '< 1e-300' : p.toExponential(0)

export function comparisonTable(rows: readonly ComparisonRow[]): string {
  const level = rows[0] ? Math.round(rows[0].level * 100) : 95
  const head = [
    'task',
    'metric',
    'base',
    'tuned',
    'difference',
    `${level}% interval`,
    'p (McNemar)',
    'n',
  ]
  const body = rows.map((r) => [
    r.task,
    r.metric,
    value(r.baseline, r),
    value(r.candidate, r),
    signed(r.difference, r),
    r.low === null || r.high === null ? '—' : `[${signed(r.low, r)}, ${signed(r.high, r)}]`,
    pValue(r.pValue),
    String(r.n),
  ])
  return table(head, body, 2)
}
