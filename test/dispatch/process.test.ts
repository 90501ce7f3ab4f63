import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { asc, eq } from 'drizzle-orm'
import { claim } from '#api/dispatch/claim.ts'
import { startDispatcher, type Dispatcher } from '#api/dispatch/dispatcher.ts'
import { createProcessLauncher } from '#api/dispatch/processLauncher.ts'
import { isAlive } from '#api/processes.ts'
import { cancelRun } from '#api/runs/cancel.ts'
import { createTraining } from '#api/runs/create.ts'
import { tail } from '#api/runs/tail.ts'
import { events, metrics, runs } from '#schema/tables.ts'
import type { FakeOptions } from '#test/support/fakeRuntime.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { lossAt } from '#test/support/runtime.ts'
import { testServer } from '#test/support/server.ts'

const files = await makeFiles()
// The api itself starts nothing: each test has its own dispatcher, whose runtimes speak to it over HTTP.
const server = await testServer({
  roots: [files.root],
  benchmarkRoots: [files.root],
  concurrency: 0,
  leaseSeconds: 10,
})
const ctx = { ...server.context, config: { ...server.context.config, concurrency: 1 } }
const actor = await makeActor(ctx.db)
const fakeRuntime = join(import.meta.dirname, '..', 'support', 'fakeRuntime.ts')

const dispatchers: Dispatcher[] = []
after(() => Promise.all(dispatchers.map((dispatcher) => dispatcher.drain())))

function dispatch(options: FakeOptions, grace = 10_000): Dispatcher {
  const command = [process.execPath, fakeRuntime, JSON.stringify(options)]
  const launcher = createProcessLauncher({ home: ctx.config.home, command })
  const dispatcher = startDispatcher(ctx, { launcher, url: server.url, grace, poll: 200 })
  dispatchers.push(dispatcher)
  return dispatcher
}

const create = (maxAttempts = 3) => createTraining(ctx, actor, trainInput(files, { maxAttempts }))
const runOf = async (id: string) => (await ctx.db.select().from(runs).where(eq(runs.id, id)))[0]!
const curve = async (id: string) =>
  (await ctx.db.select().from(metrics).where(eq(metrics.runId, id)).orderBy(asc(metrics.step)))
    .filter(({ name }) => name === 'loss')
    .map(({ step, value }) => [step, value])
const whole = (steps: number) => Array.from({ length: steps }, (_, i) => [i + 1, lossAt(i + 1)])

async function until(
  id: string,
  wanted: (event: { type: string; body: Record<string, unknown> }) => boolean,
): Promise<void> {
  for await (const event of tail(ctx, id, { after: 0, signal: AbortSignal.timeout(30_000) }))
    if (wanted(event)) return
  assert.fail('the event never came')
}
const end = async (id: string) => {
  for await (const _ of tail(ctx, id, { after: 0, signal: AbortSignal.timeout(60_000) }));
  return runOf(id)
}

test('a run goes from the queue to its end in a process of its own', async () => {
  const environment = join(files.root, 'environment.json')
  const dispatcher = dispatch({ steps: 12, environment })
  const run = await create()
  process.env['SECRET_OF_THE_API'] = 'x'
  const { status, attempt, failure } = await end(run.id)
  assert.deepEqual([status, attempt, failure], ['SUCCEEDED', 1, null])
  assert.deepEqual(await curve(run.id), whole(12))
  await dispatcher.drain()
  const logs = (await ctx.db.select().from(events).where(eq(events.runId, run.id))).filter(
    ({ source }) => source === 'LAUNCHER',
  )
  assert.deepEqual(logs[0]?.body, { level: 'info', message: 'fake runtime starts' })
  const names = JSON.parse(await readFile(environment, 'utf8')) as string[]
  assert.ok(names.includes('ODDSMITH_TOKEN') && names.includes('PATH'))
  assert.ok(
    !names.some((name) => /DATABASE|SECRET|HOME$|TEMPLATE/.test(name) && name !== 'HOME'),
    names.join(),
  )
})

test('a runtime that is killed in the middle resumes from its checkpoint, and the curve has every step once', async () => {
  const dispatcher = dispatch({ steps: 20, checkpointEvery: 5, dieAt: 13, stepTime: 20 })
  const run = await create()
  const { status, attempt } = await end(run.id)
  assert.deepEqual([status, attempt], ['SUCCEEDED', 2])
  assert.deepEqual(await curve(run.id), whole(20))
  const all = await ctx.db
    .select()
    .from(events)
    .where(eq(events.runId, run.id))
    .orderBy(asc(events.cursor))
  assert.deepEqual(
    all.map(({ cursor }) => cursor),
    all.map((_, i) => i + 1),
  )
  const second = all.find(({ type, attempt: number }) => type === 'started' && number === 2)
  assert.equal(second?.body['resumedFromStep'], 10)
  const requeued = all.find(
    ({ type, body }) => type === 'status' && body['to'] === 'QUEUED' && body['from'] === 'RUNNING',
  )
  assert.match(String(requeued?.body['reason']), /was ended by SIGKILL/)
  await dispatcher.drain()
})

test('a runtime that crashes in every attempt fails its run, with its last words', async () => {
  const dispatcher = dispatch({ crash: 'Error: libcudart.so.12 was not found' })
  const run = await create(2)
  const { status, attempt, failure } = await end(run.id)
  assert.deepEqual([status, attempt, failure!.code], ['FAILED', 2, 'RUNTIME_LOST'])
  assert.match(failure!.message, /exited with code 7.*\n.*libcudart/)
  await dispatcher.drain()
})

test('a canceled runtime writes its checkpoint and says goodbye', async () => {
  const dispatcher = dispatch({ steps: 100_000 })
  const run = await create()
  await until(run.id, ({ type }) => type === 'metrics')
  await cancelRun(ctx, actor, run.id)
  assert.equal((await end(run.id)).status, 'CANCELED')
  const types = (
    await ctx.db.select().from(events).where(eq(events.runId, run.id)).orderBy(asc(events.cursor))
  ).map(({ type }) => type)
  assert.ok(types.lastIndexOf('checkpoint') < types.indexOf('interrupted'))
  await dispatcher.drain()
})

test('a canceled runtime that does not listen is killed after the grace', async () => {
  const pidFile = join(files.root, 'deaf.pid')
  const dispatcher = dispatch({ steps: 100_000, deaf: true, pidFile }, 300)
  const run = await create()
  await until(run.id, ({ type }) => type === 'metrics')
  await cancelRun(ctx, actor, run.id)
  assert.equal((await end(run.id)).status, 'CANCELED')
  await dispatcher.drain()
  assert.ok(!isAlive(Number(await readFile(pidFile, 'utf8'))))
})

test('a drain puts the run back into the queue at no cost, and the next api finishes it', async () => {
  const first = dispatch({ steps: 100_000, checkpointEvery: 1000 })
  const run = await create(1)
  await until(run.id, ({ type, body }) => type === 'metrics' && Number(body['step']) >= 5)
  await first.drain()
  const between = await runOf(run.id)
  assert.deepEqual([between.status, between.tokenHash === null], ['QUEUED', false])
  const reached = (await curve(run.id)).length
  const second = dispatch({ steps: reached + 5 })
  assert.equal((await end(run.id)).status, 'SUCCEEDED')
  assert.deepEqual(await curve(run.id), whole(reached + 5))
  await second.drain()
})

test('a runtime of a former api goes on under its lease, and takes a place; it is killed when its run is taken over', async () => {
  const pidFile = join(files.root, 'orphan.pid')
  const go = join(files.root, 'go')
  const command = [
    process.execPath,
    fakeRuntime,
    JSON.stringify({ pidFile, waitFor: go, steps: 100_000, deaf: true } satisfies FakeOptions),
  ]
  const launcher = createProcessLauncher({ home: ctx.config.home, command })
  const run = await create(2)
  const claimed = (await claim(ctx.db, 10))!
  // Started by hand: no dispatcher watches it, as when the api that started it was killed.
  const { exit } = await launcher.start(
    { id: run.id, attempt: 1 },
    { url: server.url, token: claimed.token },
  )
  const waiting = await create()
  const successor = dispatch({ steps: 3 })
  await writeFile(go, '')
  await until(run.id, ({ type }) => type === 'metrics')
  assert.deepEqual(successor.active(), [])
  assert.equal((await runOf(waiting.id)).status, 'QUEUED')

  // It still lives when its lease is over: taken from it, it is killed, and the other attempt ends the run.
  await successor.drain()
  const pid = Number(await readFile(pidFile, 'utf8'))
  process.kill(pid, 'SIGSTOP')
  await ctx.db
    .update(runs)
    .set({ leaseUntil: new Date(0) })
    .where(eq(runs.id, run.id))
  const impatient = { ...ctx, config: { ...ctx.config, leaseSeconds: 1 } }
  const taker = startDispatcher(impatient, {
    launcher: createProcessLauncher({
      home: ctx.config.home,
      command: [process.execPath, fakeRuntime, '{"steps": 3}'],
    }),
    url: server.url,
    poll: 200,
  })
  dispatchers.push(taker)
  assert.equal((await end(run.id)).status, 'SUCCEEDED')
  assert.equal((await exit).signal, 'SIGKILL')
  assert.equal((await end(waiting.id)).status, 'SUCCEEDED')
  await taker.drain()
})
