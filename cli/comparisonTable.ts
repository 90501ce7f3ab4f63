/** A stored comparison as a table for terminals. */
import { table } from './output.ts'

export type ComparisonRow = {
  readonly task: string
  readonly metric: string
  readonly n: number
  readonly baseline: number
  readonly candidate: number
  readonly difference: number
  readonly low: number
  readonly high: number
  readonly level: number
  readonly pValue: number
}

const percent = (x: number): string => `${(100 * x).toFixed(1)}%`
const signed = (x: number): string => `${x < 0 ? '−' : '+'}${(100 * Math.abs(x)).toFixed(1)}`

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
    percent(r.baseline),
    percent(r.candidate),
    signed(r.difference),
    `[${signed(r.low)}, ${signed(r.high)}]`,
    pValue(r.pValue),
    String(r.n),
  ])
  return table(head, body, 2)
}
