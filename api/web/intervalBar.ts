/** A score and its interval on a scale that the rows of a table share. */
import { html } from 'hono/html'
import type { Interval } from '../evaluation/confidence.ts'
import { between, score, signed } from './format.ts'
import type { Html } from './layout.ts'
import { label, place, type Scale } from './ticks.ts'

export type Bar = {
  readonly value: number
  readonly interval: Interval
  /** Where the dashed zero line is: the base model's score, or 0 for differences. */
  readonly zero: number | null
  readonly tone: 'up' | 'down' | 'base' | 'even'
  /** Whether it is read as a difference. */
  readonly difference?: boolean
}

/** What a difference says, if its interval leaves 0 out. */
export const toneOf = (interval: Interval | null): 'up' | 'down' | 'even' =>
  interval === null ? 'even' : interval.low > 0 ? 'up' : interval.high < 0 ? 'down' : 'even'

export function intervalBar({ value, interval, zero, tone, difference }: Bar, scale: Scale): Html {
  const x = (at: number) => place(scale, at)
  const read = difference
    ? `${signed(value)}, 95 % interval ${between(interval)}`
    : `${score(value)}, 95 % interval ${score(interval.low)} to ${score(interval.high)}`
  return html`<svg class="interval ${tone}" role="img" aria-label="${read}">
    <title>${read}</title>
    <line class="track" x1="0" x2="100%" y1="50%" y2="50%" />
    ${zero !== null && html`<line class="zero" x1="${x(zero)}" x2="${x(zero)}" y1="-15%" y2="115%" />`}
    <line class="span" x1="${x(interval.low)}" x2="${x(interval.high)}" y1="50%" y2="50%" />
    <circle class="dot" cx="${x(value)}" cy="50%" r="5" />
  </svg>`
}

/** The scale's numbers, for the head of the column. */
export const scaleHead = (scale: Scale): Html =>
  html`<svg class="scale" aria-hidden="true">
    ${scale.ticks.map(
      (tick) =>
        html`<text x="${place(scale, tick)}" y="11" text-anchor="middle"
          >${label(tick, scale)}</text
        >`,
    )}
  </svg>`
