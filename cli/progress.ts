/** Progress as two lines for terminals, and as one line in ten for logs. */
export type Progress = {
  readonly phase: string
  readonly done: number
  readonly total: number
  readonly unit: string
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
}

const width = 20

export const bar = (done: number, total: number): string => {
  const full = Math.round((width * done) / Math.max(1, total))
  return '█'.repeat(full) + '░'.repeat(width - full)
}

/** 75 → 1:15 */
export const clock = (seconds: number): string =>
  `${Math.floor(Math.round(seconds) / 60)}:${String(Math.round(seconds) % 60).padStart(2, '0')}`

/** The metrics that are shown, by their short names. */
const shown = {
  loss: 'loss',
  nll: 'nll_loss',
  'log-odds': 'log_odds_chosen',
  margin: 'rewards/margins',
  acc: 'rewards/accuracies',
} as const

/** How far it is, and how fast: fits 80 columns. */
export function headline({
  phase,
  done,
  total,
  unit,
  tokensPerSecond,
  etaSeconds,
}: Progress): string {
  const count = `${String(done).padStart(String(total).length)}/${total} ${unit}`
  return [
    `${phase.toLowerCase().padEnd(8)} ${bar(done, total)} ${count}`,
    ...(tokensPerSecond === null ? [] : [`${Math.round(tokensPerSecond)} tok/s`]),
    ...(etaSeconds === null ? [] : [`ETA ${clock(etaSeconds)}`]),
  ].join('  ')
}

/** How training goes, by the newest metrics; fits 80 columns too. */
export function details(metrics: ReadonlyMap<string, number | null>): string {
  const values = Object.entries(shown).flatMap(([short, name]) => {
    const v = metrics.get(name)
    return v == null ? [] : [`${short} ${v.toFixed(3)}`]
  })
  const rate = metrics.get('learning_rate')
  return [...values, ...(rate == null ? [] : [`lr ${rate.toExponential(1)}`])].join('  ')
}

/** Redraws two lines on a terminal; elsewhere prints one line when a tenth is done. */
export class Display {
  readonly #out: NodeJS.WriteStream
  #tenth = ''
  #drawn = false

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(progress: Progress, metrics: ReadonlyMap<string, number | null>): void {
    const head = headline(progress)
    const tail = progress.phase === 'TRAIN' ? details(metrics) : ''
    if (this.#out.isTTY) {
      const columns = (this.#out.columns ?? 80) - 1
      const back = this.#drawn ? '\x1b[1A\r\x1b[J' : ''
      this.#out.write(`${back}${head.slice(0, columns)}\n${tail.slice(0, columns)}`)
      this.#drawn = true
      if (progress.done === progress.total) this.end()
      return
    }
    const tenth = `${progress.phase} ${Math.floor((10 * progress.done) / progress.total)}`
    if (tenth !== this.#tenth) this.#out.write(`${[head, tail].filter(Boolean).join('  ')}\n`)
    this.#tenth = tenth
  }

  /** Leave the lines where they are. */
  end(): void {
    if (this.#drawn) this.#out.write('\n')
    this.#drawn = false
  }
}
