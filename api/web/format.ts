/** Numbers and times as people read them. */
import { html } from 'hono/html'
import type { Html } from './layout.ts'

/** 0.713 */
export const score = (value: number): string => value.toFixed(3)

/** +0.017, −0.004, 0.000: with a true minus, and no sign where it rounds to nothing. */
export function signed(value: number): string {
  const digits = Math.abs(value).toFixed(3)
  return Number(digits) === 0 ? digits : `${value < 0 ? '−' : '+'}${digits}`
}

/** [+0.003, +0.032] */
export const between = ({ low, high }: { low: number; high: number }): string =>
  `[${signed(low)}, ${signed(high)}]`

/** p = 0.021, p < 0.001 */
export const probability = (p: number): string => (p < 0.001 ? '< 0.001' : p.toFixed(3))

/** 2,376 */
export const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** Short enough for a caption: 2.134, 52.1, 7.6e−6. */
export function brief(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e5 || size < 1e-3)
    return value.toExponential(1).replace('.0e', 'e').replace('e+', 'e').replaceAll('-', '−')
  return value.toFixed(size >= 1000 ? 0 : size >= 10 ? 1 : 3).replace('-', '−')
}

/** 41.9 M */
export function amount(value: number): string {
  for (const [size, unit] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`
  }
  return String(value)
}

/** 48 s, 12 min 5 s, 3 h 20 min */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}

/** The first eight digits of a hash. */
export const short = (hash: string): string => hash.slice(0, 8)

const day = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'UTC',
})

/** 24 Nov 2026, 15:04 UTC */
export const moment = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${day.format(at)} UTC</time>`

const date = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  timeZone: 'UTC',
})

/** 24 Nov 2026, with the time on pointing at it. */
export const dayOf = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}" title="${day.format(at)} UTC">${date.format(at)}</time>`

/** 15:04:09 */
export const clock = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${at.toISOString().slice(11, 19)}</time>`

/** 1 run, 2 runs */
export const plural = (n: number, noun: string): string =>
  `${whole(n)} ${noun}${n === 1 ? '' : 's'}`
