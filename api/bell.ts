/**
 * One LISTEN connection for the whole process. A notification only says "look again": what happened is read from tables,
 * so a lost one costs a waiter no more than its timeout. Payloads are topics: `queue`, or `run:<id>`.
 */
import { sql, type SQL } from 'drizzle-orm'
import pg from 'pg'

export const queueTopic = 'queue'
export const runTopic = (runId: string) => `run:${runId}`

/** Part of a statement or transaction: rings the topic's bell in every process when it commits. */
export const ring = (topic: string): SQL => sql`select pg_notify('oddsmith', ${topic})`

export type Wait = {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds. */ readonly timeout: number
}

/** Remembers a ring that came while nobody waited. Take one before reading the tables, and wait after. */
export type Ear = {
  /** Until the next ring, the timeout or the signal; never throws. */
  wait(options: Wait): Promise<void>
  close(): void
}

export type Bell = {
  listen(topic: string): Ear
  /** Listens and waits in one; for waiters that look at the tables on a clock anyway. */
  wait(topic: string, options: Wait): Promise<void>
  /** Wakes this process's own listeners, without a statement. */
  ring(topic: string): void
  close(): Promise<void>
}

/** Connects and listens; a broken connection is made again, and everybody is woken once to look for what was missed. */
export async function openBell(url: string): Promise<Bell> {
  const ears = new Map<string, Set<() => void>>()
  let closed = false
  let client: pg.Client
  let retry: NodeJS.Timeout | undefined

  async function connect(): Promise<void> {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'oddsmith bell',
      keepAlive: true,
    })
    let broken = false
    const again = () => {
      if (closed || broken) return
      broken = true
      retry = setTimeout(() => void connect().catch(again), 500)
    }
    next.on('error', again)
    next.on('end', again)
    next.on('notification', ({ payload }) => ears.get(payload ?? '')?.forEach((rung) => rung()))
    client = next
    await next.connect()
    await next.query('listen oddsmith')
    for (const set of ears.values()) for (const rung of set) rung()
  }
  try {
    await connect()
  } catch (cause) {
    closed = true
    throw cause
  }

  function listen(topic: string): Ear {
    let pending = false
    let wake: (() => void) | null = null
    const rung = () => {
      pending = true
      wake?.()
    }
    const set = ears.get(topic) ?? new Set()
    ears.set(topic, set.add(rung))
    return {
      async wait({ signal, timeout }) {
        if (!pending && !closed && signal?.aborted !== true) {
          const { promise, resolve } = Promise.withResolvers<void>()
          const timer = setTimeout(resolve, timeout)
          wake = resolve
          signal?.addEventListener('abort', resolve as () => void, { once: true })
          await promise
          clearTimeout(timer)
          signal?.removeEventListener('abort', resolve as () => void)
          wake = null
        }
        pending = false
      },
      close() {
        set.delete(rung)
        if (set.size === 0) ears.delete(topic)
      },
    }
  }

  return {
    listen,
    async wait(topic, options) {
      const ear = listen(topic)
      await ear.wait(options).finally(() => ear.close())
    },
    ring: (topic) => ears.get(topic)?.forEach((rung) => rung()),
    async close() {
      closed = true
      clearTimeout(retry)
      for (const set of ears.values()) for (const rung of set) rung()
      await client.end().catch(() => {})
    },
  }
}
