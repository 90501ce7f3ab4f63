/** One curve as SVG: the training values, smoothed when they are many, and the held-out values as points. */
import { html } from 'hono/html'
import type { Point } from './curves.ts'
import { brief } from './format.ts'
import type { Html } from './layout.ts'
import { label, place, scale, type Scale } from './ticks.ts'

export type Chart = {
  readonly name: string
  readonly train: readonly Point[]
  readonly held: readonly Point[]
  /** What the points are of. */
  readonly heldOn?: string
  /** A value to look at the points against. */
  readonly reference?: { readonly name: string; readonly value: number } | null
  /** Steps of the whole run, so that all charts of a page have the same axis. */
  readonly steps: number
}

/** The plot stretches with the page, so lines are drawn in a square of this size with strokes that do not scale. */
const square = 1000

export function chart({
  name,
  train,
  held,
  heldOn = 'held out',
  reference = null,
  steps,
}: Chart): Html {
  const values = [...train, ...held].map((point) => point.value)
  if (reference !== null) values.push(reference.value)
  const y = scale(Math.min(...values), Math.max(...values), 5)
  const x = scale(0, Math.max(1, steps), 4)
  const end: Scale = { ...x, high: Math.max(1, steps) }
  const smooth = isNoisy(train) ? smoothed(train) : train
  const last = (points: readonly Point[]) => points.at(-1)
  return html`<figure class="chart card">
    <figcaption>
      <b>${name}</b
      ><span
        >${last(smooth) && html`<i class="legend"></i>${brief(last(smooth)!.value)}`}
        ${last(held) && html`&ensp;<i class="legend held"></i>${heldOn} ${brief(last(held)!.value)}`}
        ${reference && html`&ensp;<i class="legend reference"></i>${reference.name} ${brief(reference.value)}`}</span
      >
    </figcaption>
    <div class="plot">
      <svg aria-hidden="true">
        ${y.ticks.map((tick) => html`<text x="88%" y="${place(y, tick, true)}" dy="3.5" text-anchor="end">${label(tick, y)}</text>`)}
      </svg>
      <svg role="img" aria-label="${describe(name, train, held, heldOn, reference)}">
        ${y.ticks.map((tick) => html`<line class="${Math.abs(tick) < 1e-12 ? 'grid zero' : 'grid'}" x1="0" x2="100%" y1="${place(y, tick, true)}" y2="${place(y, tick, true)}" />`)}
        <svg
          width="100%"
          height="100%"
          viewBox="0 0 ${square} ${square}"
          preserveAspectRatio="none"
        >
          ${reference && html`<path class="reference" d="M${at({ step: 0, value: reference.value }, end, y)}H${square}" />`}
          ${smooth !== train && html`<polyline class="raw" points="${path(train, end, y)}" />`}
          ${smooth.length > 1 && html`<polyline class="line" points="${path(smooth, end, y)}" />`}
          ${held.length > 1 && html`<polyline class="held" points="${path(held, end, y)}" />`}
          ${train.length === 1 && html`<path class="dots train" d="${dots(train, end, y)}" />`}
          ${held.length > 0 && html`<path class="dots" d="${dots(held, end, y)}" />`}
        </svg>
      </svg>
      <span></span>
      <svg aria-hidden="true">
        ${x.ticks.filter((tick) => tick <= end.high).map((tick, i, all) => html`<text x="${place(end, tick)}" y="13" text-anchor="${i === 0 ? 'start' : tick > end.high * 0.94 ? 'end' : 'middle'}">${i === 0 && all.length > 1 ? '0' : label(tick, x)}${i === 0 ? ' step' : ''}</text>`)}
      </svg>
    </div>
  </figure>`
}

const at = (point: Point, x: Scale, y: Scale): string => {
  const across = ((point.step - x.low) / (x.high - x.low)) * square
  const down = (1 - (point.value - y.low) / (y.high - y.low)) * square
  return `${across.toFixed(1)},${down.toFixed(1)}`
}

const path = (points: readonly Point[], x: Scale, y: Scale): string =>
  points.map((point) => at(point, x, y)).join(' ')

// A line of no length with a round cap is a dot that keeps its shape when the plot is stretched.
const dots = (points: readonly Point[], x: Scale, y: Scale): string =>
  points.map((point) => `M${at(point, x, y)}h0`).join('')

/** Whether a curve turns so often that its course is hard to see; a schedule or a slow drift is drawn as it is. */
function isNoisy(points: readonly Point[]): boolean {
  let turns = 0
  for (let i = 2; i < points.length; i += 1) {
    const [a, b, c] = [points[i - 2]!.value, points[i - 1]!.value, points[i]!.value]
    if ((b - a) * (c - b) < 0) turns += 1
  }
  return points.length > 40 && turns > points.length / 10
}

/**
 * An exponential average over about a twentieth of the curve, divided by its own weight, so that it starts at the first value
 * and not at 0 (Kingma and Ba 2015, section 3).
 */
export function smoothed(points: readonly Point[]): Point[] {
  const keep = 1 - 1 / Math.max(2, points.length / 20)
  let sum = 0
  let weight = 0
  return points.map(({ step, value }) => {
    sum = keep * sum + (1 - keep) * value
    weight = keep * weight + (1 - keep)
    return { step, value: sum / weight }
  })
}

function describe(
  name: string,
  train: readonly Point[],
  held: readonly Point[],
  heldOn: string,
  reference: Chart['reference'],
): string {
  const say = (points: readonly Point[], what: string) =>
    points.length === 0
      ? []
      : [
          `${what} from ${brief(points[0]!.value)} at step ${points[0]!.step} to ${brief(points.at(-1)!.value)} at step ${points.at(-1)!.step}`,
        ]
  const against = reference ? [`${reference.name} ${brief(reference.value)}`] : []
  return `${name}: ${[...say(train, 'training'), ...say(held, heldOn), ...against].join('; ')}`
}
