import assert from 'node:assert/strict'
import test from 'node:test'
import { sql } from 'drizzle-orm'
import { query } from '#api/database.ts'
import { Conflict, NotFound } from '#api/problem.ts'
import { advance } from '#api/runs/advance.ts'
import { cancelRun } from '#api/runs/cancel.ts'
import { createTraining } from '#api/runs/create.ts'
import { append } from '#api/runs/events.ts'
import { lockRun, type Run } from '#api/runs/run.ts'
import { tail } from '#api/runs/tail.ts'
import { mayFollow, runStatuses } from '#schema/lifecycle.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const create = () => createTraining(ctx, actor, trainInput(files))
const note = (run: Run, ...messages: readonly string[]) =>
  ctx.db.transaction(async (tx) => {
    await lockRun(tx, run.id)
    await append(
      tx,
      run,
      messages.map((message) => ({ source: 'API', type: 'log', body: { message } })),
    )
  })
const take = async (events: AsyncGenerator<{ cursor: number }>, count: number) => {
  const cursors: number[] = []
  while (cursors.length < count) cursors.push((await events.next()).value!.cursor)
  return cursors
}

test('a subscriber that reconnects after event 7 next sees event 8', async () => {
  const run = await create()
  await note(run, ...'abcdefghi')
  const first = tail(ctx, run.id, { after: 0 })
  assert.deepEqual(await take(first, 7), [1, 2, 3, 4, 5, 6, 7])
  await first.return()
  const second = tail(ctx, run.id, { after: 7 })
  assert.deepEqual(await take(second, 3), [8, 9, 10])
  const waiting = second.next()
  await note(run, 'j')
  assert.equal((await waiting).value!.cursor, 11)
  await second.return()
})

test('a hundred events written by ten at once reach a subscriber once each, in order, and promptly', async () => {
  const run = await create()
  const events = tail(ctx, run.id, { after: 1 })
  const seen = take(events, 100)
  const start = performance.now()
  await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      for (let k = 0; k < 10; k++) await note(run, `${i}.${k}`)
    }),
  )
  assert.deepEqual(
    await seen,
    Array.from({ length: 100 }, (_, i) => i + 2),
  )
  // Without the bell a waiter would look again after five seconds.
  assert.ok(performance.now() - start < 4500)
  await events.return()
})

test('the stream ends after the status that ends the run, and at once for a run that has ended', async () => {
  const run = await create()
  const all = async (after: number) => {
    const cursors: number[] = []
    for await (const { cursor } of tail(ctx, run.id, { after })) cursors.push(cursor)
    return cursors
  }
  const live = all(0)
  await cancelRun(ctx, actor, run.id)
  assert.deepEqual(await live, [1, 2, 3])
  assert.deepEqual(await all(1), [2, 3])
  assert.deepEqual(await all(3), [])
  assert.deepEqual(await all(99), [])
  await assert.rejects(tail(ctx, crypto.randomUUID(), { after: 0 }).next(), NotFound)
})

test('the signal ends a waiting subscriber', async () => {
  const run = await create()
  const ending = new AbortController()
  const events = tail(ctx, run.id, { after: 1, signal: ending.signal })
  const waiting = events.next()
  ending.abort()
  assert.deepEqual(await waiting, { done: true, value: undefined })
})

test('a subscriber survives the loss of the bell’s connection', async () => {
  const run = await create()
  const events = tail(ctx, run.id, { after: 1 })
  const waiting = events.next()
  await query(
    ctx.db,
    sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'oddsmith bell' and datname = current_database()`,
  )
  await note(run, 'after the loss')
  assert.equal((await waiting).value!.cursor, 2)
  const next = events.next()
  await note(run, 'and again')
  assert.equal((await next).value!.cursor, 3)
  await events.return()
})

test('no status follows that the lifecycle does not allow', async () => {
  const run = await create()
  for (const from of runStatuses) {
    for (const to of runStatuses.filter((status) => !mayFollow(from, status))) {
      await assert.rejects(
        ctx.db.transaction((tx) => advance(tx, { ...run, status: from }, to)),
        Conflict,
        `${from} ${to}`,
      )
    }
  }
})
