/** Keeps runtimes going: claims waiting runs, starts their attempts, ends those that must end, and settles what they leave. */
import { inArray } from 'drizzle-orm'
import { runs } from '#schema/tables.ts'
import { queueTopic } from '../bell.ts'
import type { Context } from '../context.ts'
import { append } from '../runs/events.ts'
import { lose } from '../runs/lose.ts'
import { modelChanged } from '../runs/pin.ts'
import { isActive, lockRun, type Run } from '../runs/run.ts'
import { claim, reap, type Claimed } from './claim.ts'
import type { Exit, Handle, Launcher, LogLine } from './launcher.ts'

export type DispatcherOptions = {
  readonly launcher: Launcher
  /** Where runtimes reach the api. */
  readonly url: string
  /** Milliseconds that a runtime has to write a checkpoint and say goodbye. */
  readonly grace?: number
  /** Milliseconds between looks at the tables when no bell rings. */
  readonly poll?: number
}

export type Dispatcher = {
  /** Runs whose runtimes this dispatcher has started and that have not exited. */
  active(): string[]
  /** Claims nothing more, ends its runtimes with grace; their runs wait in the queue for the next api. */
  drain(): Promise<void>
}

type Active = {
  readonly run: Run
  handle: Handle | null
  /** It has been asked to end, or is about to be. */
  leaving: NodeJS.Timeout | true | null
  readonly last: LogLine[]
  done: Promise<void>
}

/** Inspections at once. */
const inspections = 2

export function startDispatcher(ctx: Context, options: DispatcherOptions): Dispatcher {
  const { db, config, bell } = ctx
  const { launcher, url, grace = 20_000, poll = 1000 } = options
  const log = ctx.log.child({ part: 'dispatcher' })
  const active = new Map<string, Active>()
  /** Runs that have just lost an attempt, and until when they rest (milliseconds). */
  const resting = new Map<string, number>()
  const ending = new AbortController()
  const ear = bell.listen(queueTopic)
  /**
   * After any time in which this api could not hear runtimes (it was down, its database was away, the machine slept), leases
   * have run out without anybody's fault: runtimes get one lease's time to speak up before any of them is reaped.
   */
  let reapFrom = Date.now() + config.leaseSeconds * 1000
  let looked = Date.now()

  const loop = (async () => {
    while (!ending.signal.aborted) {
      try {
        await look()
      } catch (error) {
        log.error({ err: error }, 'dispatcher could not look at the runs')
        reapFrom = Date.now() + config.leaseSeconds * 1000
      }
      await ear.wait({ signal: ending.signal, timeout: poll })
    }
  })()

  async function look(): Promise<void> {
    const now = Date.now()
    if (now - looked > poll + 10_000) reapFrom = now + config.leaseSeconds * 1000
    looked = now
    if (now >= reapFrom) {
      for (const run of await reap(db)) {
        log.warn({ runId: run.id, attempt: run.attempt, status: run.status }, 'lease ran out')
        rest(run)
        if (!active.has(run.id)) await launcher.reclaim(run.id)
      }
    }
    await endThoseThatMust()
    for (const [id, until] of resting) if (until <= now) resting.delete(id)
    const others = (await launcher.survivors()).filter((id) => !active.has(id)).length
    while (!ending.signal.aborted) {
      const kinds = kindsWithRoom(others)
      if (kinds.length === 0) return
      const except = [...active.keys(), ...resting.keys()]
      const claimed = await claim(db, config.leaseSeconds, except, kinds)
      if (claimed === null) return
      supervise(claimed)
    }
  }

  /** Inspections take seconds and no weights: they have places of their own, so that nobody waits for a training to end. */
  function kindsWithRoom(others: number): Run['kind'][] {
    const inspecting = [...active.values()].filter(({ run }) => run.kind === 'INSPECT').length
    const working = active.size - inspecting + others
    return [
      ...(working < config.concurrency ? (['TRAIN', 'EVALUATE'] as const) : []),
      ...(inspecting < inspections ? (['INSPECT'] as const) : []),
    ]
  }

  /** Canceled runs are asked at once; a runtime that has lost its run, or is through with it, gets a moment to leave by itself. */
  async function endThoseThatMust(): Promise<void> {
    if (active.size === 0) return
    for (const row of await db
      .select()
      .from(runs)
      .where(inArray(runs.id, [...active.keys()]))) {
      const attempt = active.get(row.id)
      if (attempt?.handle == null || attempt.leaving !== null) continue
      const holds = isActive(row) && row.attempt === attempt.run.attempt && row.tokenHash !== null
      if (holds && row.cancelRequestedAt !== null) {
        attempt.leaving = true
        void attempt.handle.stop(grace)
      } else if (!holds) {
        const { handle } = attempt
        attempt.leaving = setTimeout(
          () => void handle.stop(grace),
          row.status === 'SUCCEEDED' ? grace : 1000,
        )
      }
    }
  }

  function supervise({ run, token }: Claimed): void {
    const attempt: Active = { run, handle: null, leaving: null, last: [], done: Promise.resolve() }
    active.set(run.id, attempt)
    const ids = { runId: run.id, attempt: run.attempt }
    log.info(ids, 'attempt starts')
    attempt.done = live(attempt, token)
      .catch((error: unknown) =>
        log.error({ err: error, ...ids }, 'attempt could not be settled; its lease will run out'),
      )
      .finally(() => {
        if (typeof attempt.leaving === 'object' && attempt.leaving !== null)
          clearTimeout(attempt.leaving)
        active.delete(run.id)
        // A free place: look again.
        bell.ring(queueTopic)
      })
  }

  async function live(attempt: Active, token: string): Promise<void> {
    const { run } = attempt
    let message: string
    // Datasets and rows are checked by the runtime, which reads them whole; weights are mapped, so it would not notice.
    const changed = await modelChanged(config, run.spec.model)
    if (changed !== null) {
      await db.transaction(async (tx) => {
        const now = await lockRun(tx, run.id)
        if (now.attempt !== run.attempt) return
        await lose(tx, now, { code: 'INPUT', message: changed, final: true })
      })
      return
    }
    try {
      await launcher.reclaim(run.id)
      const handle = await launcher.start({ id: run.id, attempt: run.attempt }, { url, token })
      attempt.handle = handle
      if (ending.signal.aborted) void handle.stop(grace)
      const logging = keepLogs(attempt, handle)
      const exit = await handle.exit
      await logging
      log.info({ runId: run.id, attempt: run.attempt, ...exit }, 'runtime exited')
      message = describe(exit, attempt.last)
    } catch (error) {
      log.error({ err: error, runId: run.id, attempt: run.attempt }, 'runtime could not be started')
      message = `the runtime could not be started: ${(error as Error).message}`
    }
    const settled = await db.transaction(async (tx) => {
      const now = await lockRun(tx, run.id)
      if (now.attempt !== run.attempt || !isActive(now)) return now
      return lose(tx, now, { code: 'RUNTIME_LOST', message, uncounted: ending.signal.aborted })
    })
    rest(settled)
  }

  async function keepLogs({ run, last }: Active, handle: Handle): Promise<void> {
    for await (const lines of handle.logs) {
      last.push(...lines)
      last.splice(0, last.length - 10)
      try {
        await db.transaction(async (tx) => {
          await lockRun(tx, run.id)
          await append(
            tx,
            run,
            lines.map((body) => ({ source: 'LAUNCHER', type: 'log', body })),
          )
        })
      } catch (error) {
        log.warn({ err: error, runId: run.id, lines: lines.length }, 'output of a runtime was lost')
      }
    }
  }

  /** A second or two between attempts, so that what fails at once does not fail all its attempts at once. */
  function rest(run: Run): void {
    if (run.status === 'QUEUED') resting.set(run.id, Date.now() + 1000 + Math.random() * 1000)
  }

  return {
    active: () => [...active.keys()],
    async drain() {
      ending.abort()
      await loop
      ear.close()
      for (const { handle } of active.values()) void handle?.stop(grace)
      await Promise.all([...active.values()].map(({ done }) => done))
    },
  }
}

function describe({ code, signal }: Exit, last: readonly LogLine[]): string {
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
  const lines = last.map(({ message }) => message).join('\n')
  return `the runtime ${how} without saying how its run ended${lines === '' ? '' : `; its last lines:\n${lines}`}`.slice(
    0,
    8000,
  )
}
