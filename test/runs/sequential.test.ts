/** Sequential gates at ingest: made-up samples in parts, and when the api says that it has enough. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { eq } from 'drizzle-orm'
import { reap } from '#api/dispatch/claim.ts'
import { sequentialVerdict } from '#api/evaluation/sequential.ts'
import { reusable } from '#api/evaluation/reuse.ts'
import { InvalidInput } from '#api/problem.ts'
import { createTraining } from '#api/runs/create.ts'
import { buildJob } from '#api/runs/job.ts'
import { runGate } from '#api/runs/verdict.ts'
import { evaluations, runs } from '#schema/tables.ts'
import { startAttempt, started, type Attempt } from '#test/support/attempt.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { sample } from '#test/support/runtime.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const { db } = ctx
const task = 'who_is_bigger'
const [base, adapter] = [`BASE:${task}`, `ADAPTER:${task}`]
const total = 200
const size = 16
const rule = { kind: 'SUPERIORITY' as const, margin: 0, alpha: 0.05 }

let limit = total
/** A run that has its adapter, and has begun both evaluations. */
async function begin(sequential: boolean): Promise<Attempt> {
  // Another limit each time: other settings, so that no run finds what another has measured.
  limit += 1
  const gate = { sequential, rules: [{ ...rule, task }] }
  const evaluate = { tasks: [{ task, limit }], gate }
  await createTraining(ctx, actor, trainInput(files, { evaluate }))
  const attempt = await startAttempt(ctx)
  const file = await attempt.store('ADAPTER', 'adapter_model.safetensors', `adapter ${limit}`)
  await attempt.say(started(), [
    'adapter',
    { artifacts: [file.id], sha256: file.sha256, parameters: 6 },
  ])
  await open(attempt)
  return attempt
}
const open = (attempt: Attempt) =>
  attempt.say(
    ...[base, adapter].map(
      (key) => ['evaluation', { key, promptHash: 'p', documents: total }] as const,
    ),
  )

/** Not in the order of rows; 7 is coprime to 200. */
const order = Array.from({ length: total }, (_, i) => (i * 7) % total)
const [rightBefore, rightAfter] = [(d: number) => d % 4 === 0, (d: number) => d % 8 !== 1]
const differences = order.map((d) => Number(rightAfter(d)) - Number(rightBefore(d)))

const both = (part: readonly number[]) =>
  [
    ['samples', { key: base, samples: part.map((d) => sample(d, rightBefore(d))) }],
    ['samples', { key: adapter, samples: part.map((d) => sample(d, rightAfter(d))) }],
  ] as const
const partAt = (from: number) => order.slice(from, from + size)

const runOf = async (id: string) => (await db.select().from(runs).where(eq(runs.id, id)))[0]!
const rowsOf = (id: string) => db.select().from(evaluations).where(eq(evaluations.runId, id))

test('a run ends its evaluations exactly when the function says so, says what it saved, and is no measurement', async () => {
  const attempt = await begin(true)
  const job = await buildJob(ctx, await runOf(attempt.runId))
  assert.deepEqual(
    job.evaluations.map(({ sequential }) => sequential),
    [true, true],
  )
  let used = 0
  for (let enough = false; !enough; used += size) {
    const documents = partAt(used)
    const wanted = sequentialVerdict(differences.slice(0, used + size), total, {
      ...rule,
      target: 'POPULATION',
      binary: true,
    })
    // Without a look nothing is judged, however much is there.
    assert.equal((await attempt.say(...both(documents))).enough, undefined)
    const answer = await attempt.say(['look', { key: adapter, documents }])
    enough = wanted.verdict !== 'CONTINUE'
    assert.deepEqual(answer.enough?.toSorted(), enough ? [adapter, base] : undefined)
  }
  assert.ok(used > size && used < total, `${used}`)
  // Every later answer says it too: one may be lost.
  assert.equal((await attempt.post([])).enough?.length, 2)

  // A killed attempt's successor is not asked for them again.
  const second = await startOver(attempt)
  assert.deepEqual((await buildJob(ctx, await runOf(second.runId))).evaluations, [])
  await second.say(started(), ['finished', { summary: {} }])
  const run = await runOf(attempt.runId)
  assert.equal(run.status, 'SUCCEEDED')

  const rows = await rowsOf(run.id)
  for (const { stoppedEarly, finishedAt, baseModelId, adapterId, settingsHash } of rows) {
    assert.deepEqual([stoppedEarly, finishedAt], [true, null])
    assert.equal(await reusable(db, { baseModelId, adapterId, settingsHash }), null)
  }
  const { verdict, judgements } = (await runGate(db, run))!
  const [found] = judgements
  assert.equal(verdict, 'PASS')
  assert.deepEqual(found!.stopped, { because: 'INTERVAL', used, saved: total - used })
  assert.match(
    found!.reason,
    new RegExp(`stopped after ${used} of 200 documents, ${total - used} saved$`),
  )
  assert.ok(found!.low > 0 && found!.low < found!.difference)
})

test('what is still on its way when enough is known is taken, and an evaluation that ends whole is whole', async () => {
  const attempt = await begin(true)
  const documents = order.slice(0, 150)
  await attempt.say(...both(documents), ['look', { key: adapter, documents }])
  await attempt.say(...both(order.slice(150)))
  await attempt.say(['evaluated', { key: base, documents: total }])
  await attempt.say(['evaluated', { key: adapter, documents: 150, stopped: true }])
  const rows = await rowsOf(attempt.runId)
  const states = rows.map(({ key, stoppedEarly, finishedAt }) => [
    key,
    stoppedEarly,
    finishedAt !== null,
  ])
  assert.deepEqual(states.toSorted(), [
    [adapter, true, false],
    [base, false, true],
  ])
  await attempt.say(['finished', { summary: {} }])
  assert.equal((await runGate(db, await runOf(attempt.runId)))!.verdict, 'PASS')
})

test('documents without a pair decide nothing; an attempt that starts again draws from the first', async () => {
  const attempt = await begin(true)
  const documents = order.slice(0, 150)
  await attempt.say(...both(documents.slice(1)))
  const look = ['look', { key: adapter, documents }] as const
  assert.equal((await attempt.say(look)).enough, undefined)
  await assert.rejects(attempt.say(look), /expected each document to be drawn once/)
  const second = await startOver(attempt)
  await open(second)
  assert.equal((await second.say(...both(documents.slice(0, 1)), look)).enough?.length, 2)
  await second.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('without sequential nothing is stopped, and nobody may look or end before the last document', async () => {
  const attempt = await begin(false)
  const documents = order.slice(0, 150)
  assert.equal((await attempt.say(...both(documents))).enough, undefined)
  await assert.rejects(
    attempt.say(['look', { key: adapter, documents }]),
    /expected looks at the adapter on a task of a sequential gate/,
  )
  const again = await startOver(attempt)
  await assert.rejects(
    again.say(['evaluated', { key: adapter, documents: 150, stopped: true }]),
    /nobody asked for its end/,
  )
  await (await startOver(attempt)).say(['failed', { code: 'INPUT', message: 'enough' }])
})

async function startOver({ runId }: Attempt): Promise<Attempt> {
  await db
    .update(runs)
    .set({ leaseUntil: new Date(0) })
    .where(eq(runs.id, runId))
  await reap(db)
  return startAttempt(ctx)
}

test('rules that no look decides are refused by their place', async () => {
  const refused = async (rules: object[], more: object = {}) => {
    const gate = { sequential: true, rules: rules.map((one) => ({ ...rule, ...one })), ...more }
    const evaluate = { tasks: [{ task }, { task: 'wikitext' }], gate } as never
    const error = await createTraining(ctx, actor, trainInput(files, { evaluate })).catch((e) => e)
    assert.ok(error instanceof InvalidInput, String(error))
    return error.issues.map(({ path }) => path.slice(2).join('.'))
  }
  assert.deepEqual(await refused([{ suite: 'nous' }]), ['rules.0.task'])
  assert.deepEqual(await refused([{}]), ['rules.0.task'])
  assert.deepEqual(await refused([{ task }, { task, margin: 0.1 }]), ['rules.1.task'])
  assert.deepEqual(await refused([{ task }], { adjust: 'HOLM' }), ['adjust'])
  assert.deepEqual(await refused([{ task }, { task: 'wikitext' }]), ['rules.1.task'])
})
