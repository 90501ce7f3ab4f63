import assert from 'node:assert/strict'
import test from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { openDatabase, query } from '#api/database.ts'
import { claim, reap } from '#api/dispatch/claim.ts'
import { cancelRun } from '#api/runs/cancel.ts'
import { createTraining } from '#api/runs/create.ts'
import { sameHash, hashToken } from '#api/runs/token.ts'
import { events, runs } from '#schema/tables.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const create = (priority = 0, maxAttempts = 3) =>
  createTraining(ctx, actor, trainInput(files, { priority, maxAttempts }))
const runOf = async (id: string) => (await ctx.db.select().from(runs).where(eq(runs.id, id)))[0]!

test('eight dispatchers claim fifty runs, each exactly once', async () => {
  const created: string[] = []
  for (let i = 0; i < 50; i++) created.push((await create()).id)
  const pools = await Promise.all(Array.from({ length: 8 }, () => openDatabase(ctx.database.url)))
  const claimed = await Promise.all(
    pools.map(async ({ db }) => {
      const mine: string[] = []
      for (let got = await claim(db, 30); got !== null; got = await claim(db, 30))
        mine.push(got.run.id)
      return mine
    }),
  )
  await Promise.all(pools.map((pool) => pool.close()))
  assert.deepEqual(claimed.flat().sort(), created.sort())
  const [wrong] = await query<{ n: number }>(
    ctx.db,
    sql`select count(*)::int as n from runs where status <> 'STARTING' or attempt <> 1`,
  )
  assert.equal(wrong!.n, 0)
  const starts = await ctx.db
    .select()
    .from(events)
    .where(sql`type = 'status' and body ->> 'to' = 'STARTING'`)
  assert.equal(starts.length, 50)
})

test('higher priority first, then older; a resting run is passed over', async () => {
  const [low, high, later] = [await create(0), await create(5), await create(5)]
  assert.equal((await claim(ctx.db, 30, [high.id]))!.run.id, later.id)
  assert.equal((await claim(ctx.db, 30))!.run.id, high.id)
  assert.equal((await claim(ctx.db, 30))!.run.id, low.id)
  assert.equal(await claim(ctx.db, 30), null)
})

test('the database keeps the token’s hash only', async () => {
  const run = await create()
  const { token } = (await claim(ctx.db, 30))!
  const [row] = await query<{ text: string }>(
    ctx.db,
    sql`select r::text as text from runs r where id = ${run.id}`,
  )
  assert.ok(!row!.text.includes(token.split('-').at(-1)!))
  assert.ok(sameHash((await runOf(run.id)).tokenHash, hashToken(token)))
})

test('a run that loses its last attempt has failed, one that was canceled meanwhile is canceled', async () => {
  const [once, canceled] = [await create(0, 1), await create(0, 3)]
  await claim(ctx.db, 30)
  await claim(ctx.db, 30)
  await cancelRun(ctx, actor, canceled.id)
  await ctx.db
    .update(runs)
    .set({ leaseUntil: new Date(0) })
    .where(sql`id in (${once.id}, ${canceled.id})`)
  assert.equal((await reap(ctx.db)).length, 2)
  assert.deepEqual((await runOf(once.id)).failure, {
    code: 'RUNTIME_LOST',
    message: 'the runtime of attempt 1 let its lease run out',
  })
  assert.equal((await runOf(once.id)).status, 'FAILED')
  assert.equal((await runOf(canceled.id)).status, 'CANCELED')
})

test('a waiting run that is canceled is never claimed', async () => {
  const run = await create()
  assert.equal((await cancelRun(ctx, actor, run.id)).status, 'CANCELED')
  assert.equal(await claim(ctx.db, 30), null)
})
