/** What a runtime says, in order and without loss, while the api comes and goes. */
import type { EventBody, EventType, RunEvent } from '#schema/protocol.ts'
import { backoff, Lost, Refused, type Client } from './client.ts'

/** Why `signal` was aborted, when somebody asked for the end: write a checkpoint, say `interrupted`, exit. */
export class Canceled extends Error {
  override readonly name = 'Canceled'
}

export type ReporterOptions = {
  /** From the job: the lease is renewed three times within it. */
  readonly leaseSeconds: number
  /** Milliseconds for which events are gathered into one post. */
  readonly gather?: number
  /** Milliseconds without any answer after which the api is taken for gone. */
  readonly patience?: number
}

const batchEvents = 200
const batchBytes = 4 << 20
/** Events that may wait; above, `progress` is dropped, and nothing else. */
const waiting = 2000

type Queued = { readonly event: RunEvent; readonly bytes: number }

export class Reporter {
  readonly #client: Client
  readonly #options: Required<ReporterOptions>
  readonly #abort = new AbortController()
  readonly #loop: Promise<void>
  #queue: Queued[] = []
  #seq = 0
  #acknowledged = 0
  #flushing: {
    readonly upTo: number
    readonly resolve: () => void
    readonly reject: (error: Error) => void
  }[] = []
  #failure: Error | null = null
  #enough: ReadonlySet<string> = new Set()
  #closing = false
  #wake = () => {}

  constructor(client: Client, options: ReporterOptions) {
    this.#client = client
    this.#options = { gather: 250, patience: 15 * 60_000, ...options }
    this.#loop = this.#run()
  }

  /** Aborted with `Canceled` when the end was asked for, with `Lost` when the run is no longer ours, or when the api is gone. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Keys of sequential orders that the api needs no more documents of, as of its last answer. */
  get enough(): ReadonlySet<string> {
    return this.#enough
  }

  /** Numbers the event, dates it, and returns at once; texts that are too long for the protocol are cut. */
  event<T extends EventType>(type: T, body: EventBody<T>): void {
    if (this.#failure !== null) return
    const event = {
      seq: ++this.#seq,
      at: new Date().toISOString(),
      type,
      body,
    } as unknown as RunEvent
    if ('message' in event.body)
      event.body = { ...event.body, message: event.body.message.slice(0, 8192) }
    this.#queue.push({ event, bytes: JSON.stringify(event).length })
    if (this.#queue.length > waiting) this.#dropProgress()
    this.#wake()
  }

  /** Until everything said so far is stored; rejects when it cannot be. */
  flush(): Promise<void> {
    if (this.#acknowledged >= this.#seq) return Promise.resolve()
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#flushing.push({ upTo: this.#seq, resolve, reject })
    this.#wake()
    return promise
  }

  /** `flush`, then silence: the lease is no longer renewed. */
  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      this.#closing = true
      this.#wake()
      await this.#loop
    }
  }

  async #run(): Promise<void> {
    const { leaseSeconds, patience } = this.#options
    const heartbeat = (leaseSeconds * 1000) / 3
    let heard = Date.now()
    let tries = 0
    while (!this.#closing) {
      if (tries > 0) await this.#pause(backoff(tries - 1, Math.min(5000, heartbeat)), () => false)
      else await this.#gather(heard + heartbeat)
      if (this.#closing) return
      const events = this.#batch()
      try {
        const { acknowledged, cancel, enough } = await this.#client.post({ events })
        heard = Date.now()
        tries = 0
        this.#enough = new Set(enough)
        this.#settle(acknowledged)
        if (cancel) this.#abort.abort(new Canceled('the end of the run was asked for'))
        if (events.some(({ type, seq }) => seq <= acknowledged && endings.has(type))) return
      } catch (error) {
        tries++
        if (error instanceof Lost || error instanceof Refused) return this.#fail(error)
        if (Date.now() - heard > patience) {
          return this.#fail(
            new Error(`no answer from the api for ${Math.round(patience / 1000)} s`, {
              cause: error,
            }),
          )
        }
      }
    }
  }

  /** Until there is something to post and it was given a moment to gather more, or until the lease wants renewal. */
  async #gather(renewal: number): Promise<void> {
    await this.#pause(renewal - Date.now(), () => this.#queue.length > 0)
    if (this.#queue.length === 0) return
    await this.#pause(
      this.#options.gather,
      () => this.#flushing.length > 0 || this.#queue.length >= batchEvents,
    )
  }

  /** Milliseconds, or until `enough`; looked at whenever something is said or asked. */
  async #pause(milliseconds: number, enough: () => boolean): Promise<void> {
    if (milliseconds <= 0 || enough() || this.#closing) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake = () => {
        if (!enough() && !this.#closing) return
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => {}
  }

  #batch(): RunEvent[] {
    const events: RunEvent[] = []
    let bytes = 0
    for (const queued of this.#queue) {
      bytes += queued.bytes
      if (events.length === batchEvents || (events.length > 0 && bytes > batchBytes)) break
      events.push(queued.event)
    }
    return events
  }

  #settle(acknowledged: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, acknowledged)
    this.#queue = this.#queue.filter(({ event }) => event.seq > acknowledged)
    // Dropped progress leaves gaps: an empty queue means that nothing is owed.
    const stored = this.#queue[0] === undefined ? this.#seq : this.#queue[0].event.seq - 1
    this.#acknowledged = Math.max(this.#acknowledged, stored)
    const done = this.#flushing.filter(({ upTo }) => upTo <= this.#acknowledged)
    this.#flushing = this.#flushing.filter(({ upTo }) => upTo > this.#acknowledged)
    for (const { resolve } of done) resolve()
  }

  #fail(error: Error): void {
    this.#failure = error
    this.#queue = []
    for (const { reject } of this.#flushing) reject(error)
    this.#flushing = []
    this.#abort.abort(error)
  }

  /** All but the newest: a place in a long wait is worth nothing once a later one is known. */
  #dropProgress(): void {
    const newest = this.#queue.findLast(({ event }) => event.type === 'progress')
    this.#queue = this.#queue.filter(
      (queued) => queued === newest || queued.event.type !== 'progress',
    )
  }
}

const endings: ReadonlySet<EventType> = new Set(['finished', 'failed', 'interrupted'])
