/** A progress line for terminals, and one line in ten for logs. */
import type { WriteStream } from 'node:tty'

export type Progress = {
  readonly phase: string
  readonly done: number
  readonly total: number
  readonly unit: string
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
}

const width = 24

export const bar = (done: number, total: number): string => {
  const full = Math.round((width * done) / Math.max(1, total))
  return '█'.repeat(full) + '░'.repeat(width - full)
}

/** 75 → 1:15 */
export const clock = (seconds: number): string =>
  `${Math.floor(Math.round(seconds) / 60)}:${String(Math.round(seconds) % 60).padStart(2, '0')}`

/** The metrics that the line shows, by their short names. */
const shown = {
  loss: 'loss',
  nll: 'nll_loss',
  'log-odds': 'log_odds_chosen',
  margin: 'rewards/margins',
  acc: 'rewards/accuracies',
} as const

export function line(
  { phase, done, total, unit, tokensPerSecond, etaSeconds }: Progress,
  metrics: ReadonlyMap<string, number | null>,
): string {
  const value = (name: string) => metrics.get(name)
  const parts = [
    `${phase.toLowerCase().padEnd(8)} ${bar(done, total)} ${String(done).padStart(String(total).length)}/${total} ${unit}`,
  ]
  if (phase === 'TRAIN') {
    for (const [short, name] of Object.entries(shown)) {
      const v = value(name)
      if (v != null) parts.push(`${short} ${v.toFixed(3)}`)
    }
    const rate = value('learning_rate')
    if (rate != null) parts.push(`lr ${rate.toExponential(1)}`)
  }
  if (tokensPerSecond !== null) parts.push(`${Math.round(tokensPerSecond)} tok/s`)
  if (etaSeconds !== null) parts.push(`ETA ${clock(etaSeconds)}`)
  return parts.join('  ')
}

/** Redraws one line on a terminal; elsewhere prints when a tenth is done. */
export class Display {
  readonly #out: WriteStream | NodeJS.WriteStream
  #tenth = ''
  #drawn = false

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(progress: Progress, metrics: ReadonlyMap<string, number | null>): void {
    const text = line(progress, metrics)
    if (this.#out.isTTY) {
      const columns = this.#out.columns ?? 80
      this.#out.write(`\r\x1b[2K${text.length > columns - 1 ? text.slice(0, columns - 1) : text}`)
      this.#drawn = true
      if (progress.done === progress.total) this.end()
      return
    }
    const tenth = `${progress.phase} ${Math.floor((10 * progress.done) / progress.total)}`
    if (tenth !== this.#tenth) this.#out.write(`${text}\n`)
    this.#tenth = tenth
  }

  /** Leave the line where it is. */
  end(): void {
    if (this.#drawn) this.#out.write('\n')
    this.#drawn = false
  }
}
