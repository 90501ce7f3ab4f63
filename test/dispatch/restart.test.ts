import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { delimiter, join } from 'node:path'
import test, { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { asc, eq } from 'drizzle-orm'
import { createTraining } from '#api/runs/create.ts'
import { tail } from '#api/runs/tail.ts'
import { metrics, runs } from '#schema/tables.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { lossAt } from '#test/support/runtime.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const living = new Set<ChildProcess>()
after(async () => {
  for (const child of living) child.kill('SIGKILL')
})

async function api(port: number) {
  const env = {
    PATH: process.env['PATH'],
    ODDSMITH_HOME: ctx.config.home,
    ODDSMITH_ROOTS: ctx.config.roots.join(delimiter),
    DATABASE_URL: ctx.database.url,
    ODDSMITH_PORT: String(port),
    ODDSMITH_LEASE_SECONDS: '2',
    ODDSMITH_LOG: 'silent',
  }
  const program = join(import.meta.dirname, '..', 'support', 'holdServer.ts')
  const child = spawn(process.execPath, [program, '{"steps": 200, "stepTime": 50}'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  living.add(child)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const [line] = await Array.fromAsync(child.stdout.take(1) as AsyncIterable<Buffer>)
  return {
    port: Number(new URL(line!.toString().trim()).port),
    kill: (signal: NodeJS.Signals) => (child.kill(signal), ended),
  }
}

test('an api that is killed and comes back after the lease is over finds its runtime at work, and no step is lost', async () => {
  const run = await createTraining(ctx, actor, trainInput(files))
  const first = await api(0)
  for await (const { type, body } of tail(ctx, run.id, {
    after: 0,
    signal: AbortSignal.timeout(30_000),
  })) {
    if (type === 'metrics' && Number(body['step']) >= 10) break
  }
  await first.kill('SIGKILL')
  await sleep(4000)
  const [away] = await ctx.db.select().from(runs).where(eq(runs.id, run.id))
  assert.deepEqual([away!.status, away!.leaseUntil! < new Date()], ['RUNNING', true])

  const second = await api(first.port)
  for await (const _ of tail(ctx, run.id, { after: 0, signal: AbortSignal.timeout(60_000) }));
  const [done] = await ctx.db.select().from(runs).where(eq(runs.id, run.id))
  assert.deepEqual([done!.status, done!.attempt], ['SUCCEEDED', 1])
  const curve = await ctx.db
    .select()
    .from(metrics)
    .where(eq(metrics.runId, run.id))
    .orderBy(asc(metrics.step))
  const losses = curve.filter(({ name }) => name === 'loss').map(({ step, value }) => [step, value])
  assert.deepEqual(
    losses,
    Array.from({ length: 200 }, (_, i) => [i + 1, lossAt(i + 1)]),
  )
  assert.equal(await second.kill('SIGTERM'), 0)
})
