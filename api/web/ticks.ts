/** Round numbers for axes. */

export type Scale = {
  readonly low: number
  readonly high: number
  readonly ticks: readonly number[]
}

/**
 * A range that holds [low, high] and ends on ticks whose step is 1, 2 or 5 times a power of ten, about `count` of them.
 * A single value, or values that differ by rounding only, get room around them.
 */
export function scale(low: number, high: number, count: number): Scale {
  if (high - low <= Math.abs(high) * 1e-9) {
    const room = Math.abs(low) * 0.1 || 1
    return scale(low - room, high + room, count)
  }
  const rough = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999)!
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
  return { low: first * step, high: last * step, ticks }
}

/** Where a value is on a scale, as an SVG percentage; `down` for y axes, which grow upwards. */
export function place({ low, high }: Scale, value: number, down = false): string {
  const share = (value - low) / (high - low)
  return `${((down ? 1 - share : share) * 100).toFixed(2)}%`
}

/** Ticks without the dust of floating point, with no more digits than they need: 0.02, 200, 2e−6. */
export function label(value: number, { ticks }: Scale): string {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : 1
  if (Math.abs(value) < step / 1e6) return '0'
  const size = Math.max(Math.abs(ticks[0]!), Math.abs(ticks.at(-1)!))
  const sign = value < 0 ? '−' : ''
  if (size < 1e-3 || size >= 1e6)
    return (
      sign +
      Number(Math.abs(value).toPrecision(3)).toExponential().replace('e-', 'e−').replace('e+', 'e')
    )
  return sign + Math.abs(value).toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))
}
