/**
 * kill -9 at random moments: while a runtime starts, trains, sends a checkpoint or its adapter, or scores. Whatever was in flight,
 * the run ends with the curve and, byte for byte, the adapter of one that nobody touched. ODDSMITH_SEED repeats a failed series.
 */
import assert from 'node:assert/strict'
import { watch } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setInterval, setTimeout as sleep } from 'node:timers/promises'
import { isTerminal } from '#schema/lifecycle.ts'
import { stream } from '#gpu-runtime/random.ts'
import { curvesOf, install, smallTraining, type Event } from './installation.ts'

const there = await install()

const seed = Number(process.env['ODDSMITH_SEED'] ?? Date.now() % 1e6)
const random = stream(seed, 'kills')
let drawn = 0

/** A checkpoint after every step, so that many are on their way when the blow falls; held-out rows, so that there are two curves. */
const spec = {
  ...smallTraining,
  dataset: { ...smallTraining.dataset, limit: 500 },
  recipe: {
    ...smallTraining.recipe,
    batchSize: 32,
    accumulation: 2,
    checkpointEvery: 1,
    logEvery: 2,
    evalEvery: 0.25,
  },
  engine: { threads: 1, tokenBudget: 256 },
  evaluate: { tasks: [{ task: 'who_is_bigger', limit: 40 }] },
  maxAttempts: 50,
}

const undisturbed = await there.ended(await there.train(spec))
const outcome = (run: any) => ({
  status: run.status,
  sha256: run.adapter?.sha256,
  curves: curvesOf(run),
})
const expected = outcome(undisturbed.run)
/** Milliseconds from the start of a runtime to the end of its run. */
const duration =
  at(undisturbed.events.find(({ status }) => status === 'SUCCEEDED')!) -
  at(undisturbed.events.find(({ status }) => status === 'STARTING')!)

function at(event: Event): number {
  return Date.parse(event.at)
}

/** Kills the run's next runtime, `moment` after it was started. False: the run ended before. */
async function kill(id: string, killed: Set<number>, moment: () => Promise<unknown>) {
  for await (const _ of setInterval(10)) {
    const pid = await there.pid(id)
    if (pid !== null && !killed.has(pid)) {
      await moment()
      if ((await there.pid(id)) !== pid) return false
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        return false // it has just exited by itself
      }
      killed.add(pid)
      return true
    }
    if (pid === null && isTerminal((await there.run(id)).status)) return false
  }
  return false
}

/** What the runtime was at when an attempt was ended. */
const lastWords = (events: readonly Event[]): string[] => {
  const attempts = Map.groupBy(
    events.filter(({ source }) => source === 'RUNTIME'),
    ({ attempt }) => attempt,
  )
  return [...attempts].map(([n, said]) => {
    const { type, step } = said.at(-1)!
    return `${n}: ${type}${step === null ? '' : ` of step ${step}`}`
  })
}

for (const round of [1, 2]) {
  test(`killed three times at random moments: the same adapter, the same curves (seed ${seed}, round ${round})`, async (t) => {
    await survives(t, () => sleep(random.uniform(drawn++) * 0.8 * duration))
  })
}

test(`killed three times while a checkpoint is being taken in (seed ${seed})`, async (t) => {
  const incoming = join(there.server.context.config.home, 'artifacts', 'incoming')
  await survives(t, async () => {
    const signal = AbortSignal.timeout(Math.ceil(duration * 3))
    let skip = random.below(20, drawn++)
    try {
      // A file appears, grows, and is renamed away: a kill falls before, between or after.
      for await (const _ of watch(incoming, { signal })) if (skip-- === 0) return
    } catch (error) {
      if (!signal.aborted) throw error
    }
  })
})

async function survives(t: TestContext, moment: () => Promise<unknown>): Promise<void> {
  const id = await there.train(spec)
  const killed = new Set<number>()
  while (killed.size < 3 && (await kill(id, killed, moment)));
  const { run, events } = await there.ended(id)
  t.diagnostic(`${killed.size} kills; last words by attempt: ${lastWords(events).join(', ')}`)
  assert.ok(killed.size > 0)
  assert.deepEqual(outcome(run), expected)
}

test('of all this nothing is left but what was to be kept', async () => {
  await there.idle()
  assert.deepEqual(await there.halfDone(), [])
  assert.deepEqual(await there.leftovers(), [])
})
