/**
 * A look at every row that training will visit, beside training itself: a bad row is found soon after the start and not when its
 * turn comes hours later, and what the recipe's lengths cut is known while it can still be changed. Decides nothing numeric.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PairSource } from './pairs.ts'

/** What was cut in the pairs that were tokenized: at most the first thousand that training visits. */
export type Cuts = {
  readonly looked: number
  /** Pairs in which something was cut, and tokens cut. */
  readonly pairs: number
  readonly tokens: number
}

/** Rows that are checked before anything starts: a file that is wrong as a whole is found here. */
const firstLook = 32
/** Tokenizing costs thirty times as much as checking, and a share needs no more rows to be known to a percent or two. */
const counted = 1000
/** Milliseconds of work after which the thread is given away, and the share of its time that may be taken from the engine's cores. */
const slice = 5
const share = 1 / 3

/** Rejects with FormatError naming the row where one of the first rows is not a preference. */
export async function look(pairs: PairSource, rows: Iterable<number>): Promise<void> {
  let looked = 0
  for (const row of rows) {
    if (looked++ === firstLook) return
    await pairs.check(row)
  }
}

export class Survey {
  /** What was cut; null while pairs are still being counted. */
  cuts: Cuts | null = null
  readonly #stop = new AbortController()
  readonly #pairs: PairSource
  readonly #rows: Int32Array
  readonly #tokenized: number
  #work = Promise.resolve()
  #failure: { readonly error: unknown } | null = null
  #hurry = false

  /** `all`: tokenize every row, since one may be longer than the model allows. */
  constructor(pairs: PairSource, rows: Int32Array, { all }: { all: boolean }) {
    this.#pairs = pairs
    this.#rows = rows
    this.#tokenized = all ? rows.length : Math.min(counted, rows.length)
  }

  begin(): void {
    this.#work = this.#run().catch((error: unknown) => {
      this.#failure = { error }
    })
  }

  /** Throws FormatError once a bad row was found. */
  check(): void {
    if (this.#failure) throw this.#failure.error
  }

  /** Goes on without pauses, to the last row. Rejects as `check` throws. */
  async finish(): Promise<void> {
    this.#hurry = true
    await this.#work
    this.check()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#work
  }

  async #run(): Promise<void> {
    const [pairs, rows, tokenized] = [this.#pairs, this.#rows, this.#tokenized]
    const { signal } = this.#stop
    let [cut, tokens] = [0, 0]
    let since = performance.now()
    for (const [i, row] of rows.entries()) {
      if (signal.aborted) return
      if (i < tokenized) {
        const { prompt, chosen, rejected } = (await pairs.get(row)).cut
        const lost = prompt + chosen + rejected
        cut += Number(lost > 0)
        tokens += lost
        if (i === tokenized - 1) this.cuts = { looked: tokenized, pairs: cut, tokens }
      } else {
        await pairs.check(row)
      }
      const worked = performance.now() - since
      if (worked < slice || this.#hurry) continue
      await sleep((worked * (1 - share)) / share, undefined, { signal }).catch(() => {})
      since = performance.now()
    }
  }
}
