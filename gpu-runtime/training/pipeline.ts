/** Training runs on their way through the engine, which is given the next one before it has answered the last. */
import type { Outputs, Session } from '../onnx/engine.ts'
import type { Feeds } from '../tensor/feed.ts'
import type { Run } from './runs.ts'

/** Runs that the engine has at a time. */
const given = 2

export type Answer = { readonly run: Run; readonly outputs: Outputs }

/** The vector that the gradients of a step's runs are added up in; it must be there. */
const gradient = 'gradient'

/**
 * Computes step after step: `answers` of the first, whatever is to be done with its gradient, `answers` of the second, and so on.
 * A step's runs come in order, so their sum does not depend on who waited for whom.
 */
export class Pipeline {
  readonly #session: Session
  /** The runs of every step, and null after each step's last. */
  readonly #feed: AsyncGenerator<Run | null>
  readonly #posted: { readonly run: Run; readonly outputs: Promise<Outputs> }[] = []
  /** What all runs of a step are fed besides. */
  #common: Feeds = {}
  #fresh = true
  #whole = false

  constructor(session: Session, feed: AsyncGenerator<Run | null>) {
    this.#session = session
    this.#feed = feed
  }

  /** Give the engine the first run of the coming step, after everything that it was given so far; `common` goes to all its runs. */
  async begin(common: Feeds): Promise<void> {
    this.#common = common
    this.#fresh = true
    this.#whole = false
    await this.#post()
  }

  /** What the engine answers to each run of the step that was begun. */
  async *answers(): AsyncGenerator<Answer> {
    for (;;) {
      while (!this.#whole && this.#posted.length < given) await this.#post()
      const next = this.#posted.shift()
      if (next === undefined) return
      yield { run: next.run, outputs: await next.outputs }
    }
  }

  async #post(): Promise<void> {
    const { value: run } = await this.#feed.next()
    if (!run) {
      this.#whole = true
      return
    }
    const outputs = this.#session.run(
      { ...run.prepared.feeds, ...this.#common },
      {
        resident: { trainables: 'trainables' },
        // The first of a step starts the sum anew: nothing has to be zeroed.
        [this.#fresh ? 'into' : 'accumulate']: { gradient },
      },
    )
    outputs.catch(() => {}) // rejects where it is waited for, if it still is
    this.#fresh = false
    this.#posted.push({ run, outputs })
  }
}
