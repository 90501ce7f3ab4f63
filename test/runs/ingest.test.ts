import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import test from 'node:test'
import { asc, eq } from 'drizzle-orm'
import { Conflict, InvalidInput, Unauthorized } from '#api/problem.ts'
import { reap } from '#api/dispatch/claim.ts'
import { holdAttempt } from '#api/runs/attempt.ts'
import { cancelRun } from '#api/runs/cancel.ts'
import { createTraining } from '#api/runs/create.ts'
import { parseBatch } from '#api/runs/batch.ts'
import { buildJob } from '#api/runs/job.ts'
import { Job } from '#schema/protocol.ts'
import {
  adapters,
  artifacts,
  comparisonTasks,
  comparisons,
  evaluations,
  events,
  metrics,
  runs,
  samples,
} from '#schema/tables.ts'
import { numbered, startAttempt, started, type Attempt, type Said } from '#test/support/attempt.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { lossAt, sample } from '#test/support/runtime.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const { db } = ctx

const begin = async (more: Parameters<typeof trainInput>[1] = {}): Promise<Attempt> => {
  await createTraining(ctx, actor, trainInput(files, more))
  return startAttempt(ctx)
}
const runOf = async (id: string) => (await db.select().from(runs).where(eq(runs.id, id)))[0]!
const eventsOf = (id: string) =>
  db.select().from(events).where(eq(events.runId, id)).orderBy(asc(events.cursor))
const curve = async (id: string) =>
  (await db.select().from(metrics).where(eq(metrics.runId, id)).orderBy(asc(metrics.step))).map(
    ({ step, value }) => [step, value],
  )
const loss = (step: number, value: number | null = lossAt(step)) =>
  ['metrics', { step, values: { loss: value } }] as const
const everything = async (id: string) => [await runOf(id), await eventsOf(id), await curve(id)]
const expire = (id: string) =>
  db
    .update(runs)
    .set({ leaseUntil: new Date(0) })
    .where(eq(runs.id, id))

test('cursors are dense, and tell the order of statuses and events', async () => {
  const attempt = await begin()
  const answer = await attempt.say(started(), loss(1), loss(2))
  assert.deepEqual(answer, { acknowledged: 3, leaseSeconds: 30, cancel: false })
  const stored = await eventsOf(attempt.runId)
  assert.deepEqual(
    stored.map(({ cursor }) => cursor),
    [1, 2, 3, 4, 5, 6],
  )
  const told = stored.map(
    ({ source, type, body }) => `${source} ${type}${type === 'status' ? ` ${body['to']}` : ''}`,
  )
  const wanted = [
    'API status QUEUED',
    'API status STARTING',
    'API status RUNNING',
    'RUNTIME started',
    'RUNTIME metrics',
    'RUNTIME metrics',
  ]
  assert.deepEqual(told, wanted)
  await attempt.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('a repeated post changes nothing, also after the run has ended', async () => {
  const attempt = await begin()
  await attempt.say(started(), loss(1))
  const end = numbered(3, 'failed', { code: 'INPUT', message: 'row 7 has no answer' })
  await attempt.post([end])
  const before = await everything(attempt.runId)
  const again = await attempt.post([
    numbered(1, 'started', { runtime: 'x', device: 'x', threads: 1, resumedFromStep: null }),
    numbered(2, ...loss(1, 99)),
    end,
  ])
  assert.equal(again.acknowledged, 3)
  assert.deepEqual(await everything(attempt.runId), before)
  assert.deepEqual((await runOf(attempt.runId)).failure, {
    code: 'INPUT',
    message: 'row 7 has no answer',
  })
  await assert.rejects(attempt.post([numbered(4, ...loss(2))]), Conflict)
  await assert.rejects(attempt.post([]), Conflict)
  assert.deepEqual(await everything(attempt.runId), before)
})

test('a runtime that stops renewing loses its run, and its late events are refused', async () => {
  const attempt = await begin()
  await attempt.say(started(), loss(1))
  await expire(attempt.runId)
  const [reaped] = await reap(db)
  assert.deepEqual([reaped!.id, reaped!.status, reaped!.tokenHash], [attempt.runId, 'QUEUED', null])
  await assert.rejects(attempt.say(loss(2)), Conflict)
  const second = await startAttempt(ctx)
  assert.equal(second.number, 2)
  const before = await everything(attempt.runId)
  await assert.rejects(attempt.say(loss(2)), Conflict)
  await assert.rejects(attempt.store('CHECKPOINT', 'late.bin', 'late', 2), Conflict)
  assert.deepEqual(await everything(attempt.runId), before)
  await second.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('a lease that has run out is good again when the runtime speaks before it is reaped', async () => {
  const attempt = await begin()
  await expire(attempt.runId)
  await attempt.post([])
  assert.deepEqual(await reap(db), [])
  await attempt.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('what never was a token is unauthorized', async () => {
  const attempt = await begin()
  const [id, secret] = attempt.token.split('.') as [string, string]
  const forged = [
    `${id}.${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`,
    `${id}.9-${secret.slice(2)}`,
    `${crypto.randomUUID()}.${secret}`,
    'x',
  ]
  for (const token of forged)
    await assert.rejects(
      db.transaction((tx) => holdAttempt(tx, token)),
      Unauthorized,
    )
  await attempt.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('a resumed attempt replaces the steps it repeats: the curve has every step once', async () => {
  const attempt = await begin()
  await attempt.say(started(), ...[1, 2, 3, 4, 5, 6, 7].map((step) => loss(step)))
  const checkpoint = await attempt.store('CHECKPOINT', 'checkpoint.bin', 'five', 5)
  await attempt.say(['checkpoint', { step: 5, artifact: checkpoint.id }])
  await attempt.say(['failed', { code: 'ENGINE', message: 'out of memory' }])
  assert.equal((await runOf(attempt.runId)).status, 'QUEUED')

  const second = await startAttempt(ctx)
  const job = Job.parse(await buildJob(ctx, await runOf(second.runId)))
  assert.deepEqual([job.attempt, job.checkpoint?.id, job.checkpoint?.step], [2, checkpoint.id, 5])
  await second.say(started(5))
  assert.deepEqual(
    (await curve(attempt.runId)).map(([step]) => step),
    [1, 2, 3, 4, 5],
  )
  await second.say(loss(6, 60), loss(7), loss(8))
  assert.deepEqual(
    await curve(attempt.runId),
    [1, 2, 3, 4, 5, 6, 7, 8].map((step) => [step, step === 6 ? 60 : lossAt(step)]),
  )
  await second.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('an engine failure is retried while attempts are left; input and non-finite failures are not', async () => {
  const twice = await begin({ maxAttempts: 2 })
  await twice.say(['failed', { code: 'ENGINE', message: 'once' }])
  const second = await startAttempt(ctx)
  assert.deepEqual([second.runId, second.number], [twice.runId, 2])
  await second.say(['failed', { code: 'ENGINE', message: 'twice' }])
  const { status, failure } = await runOf(twice.runId)
  assert.deepEqual([status, failure], ['FAILED', { code: 'ENGINE', message: 'twice' }])
  for (const code of ['INPUT', 'NON_FINITE'] as const) {
    const attempt = await begin()
    await attempt.say(['failed', { code, message: 'no' }])
    assert.equal((await runOf(attempt.runId)).status, 'FAILED')
  }
})

test('a value that is not finite is stored as null and fails the run with an event that names the term', async () => {
  const attempt = await begin()
  const answer = await attempt.say(
    started(),
    loss(1),
    ['metrics', { step: 2, values: { loss: null, nll_loss: 2, log_odds_ratio: null } }],
    loss(3),
  )
  assert.equal(answer.cancel, true)
  const { status, failure } = await runOf(attempt.runId)
  assert.deepEqual(
    [status, failure],
    ['FAILED', { code: 'NON_FINITE', message: 'step 2: loss, log_odds_ratio became non-finite' }],
  )
  const log = (await eventsOf(attempt.runId)).find(
    ({ source, type }) => source === 'API' && type === 'log',
  )
  assert.match(String(log?.body['message']), /log_odds_ratio/)
  assert.deepEqual(
    (await db.select().from(metrics).where(eq(metrics.runId, attempt.runId))).filter(
      ({ value }) => value === null,
    ).length,
    2,
  )
  await assert.rejects(attempt.say(loss(4)), Conflict)
})

test('a canceled run is told in the next answer, and ends when the runtime has said goodbye', async () => {
  const attempt = await begin()
  await attempt.say(started(), loss(1))
  await cancelRun(ctx, actor, attempt.runId)
  await cancelRun(ctx, actor, attempt.runId)
  assert.equal((await attempt.say(loss(2))).cancel, true)
  await attempt.say(['interrupted', { reason: 'CANCELED', step: 2 }])
  assert.equal((await runOf(attempt.runId)).status, 'CANCELED')
  assert.equal((await eventsOf(attempt.runId)).filter(({ type }) => type === 'cancel').length, 1)
})

test('an interruption that nobody asked for costs no attempt', async () => {
  const attempt = await begin({ maxAttempts: 1 })
  await attempt.say(started(), loss(1), ['interrupted', { reason: 'SIGTERM', step: 1 }])
  assert.equal((await runOf(attempt.runId)).status, 'QUEUED')
  const second = await startAttempt(ctx)
  await second.say(['failed', { code: 'ENGINE', message: 'now it counts' }])
  assert.equal((await runOf(attempt.runId)).status, 'FAILED')
})

test('training, scoring and comparing: a finished run has adapter, evaluations and comparison', async () => {
  const attempt = await begin()
  await attempt.say(started(), loss(1))
  await assert.rejects(attempt.say(['finished', { summary: {} }]), /without an adapter/)
  const file = await attempt.store('ADAPTER', 'adapter_model.safetensors', 'weights')
  const other = await attempt.store('CHECKPOINT', 'checkpoint.bin', 'other', 1)
  const second = await startOver(attempt)
  await assert.rejects(
    second.say(['adapter', { artifacts: [other.id], sha256: file.sha256, parameters: 6 }]),
    /expected stored ADAPTER artifacts/,
  )
  const third = await startOver(second)
  await third.say(started(), [
    'adapter',
    { artifacts: [file.id], sha256: file.sha256, parameters: 6 },
  ])
  for (const [key, right] of [
    ['BASE:who_is_bigger', 2],
    ['ADAPTER:who_is_bigger', 4],
  ] as const) {
    await third.say(['evaluation', { key, promptHash: 'p', documents: 5 }])
    const all = [0, 1, 2, 3, 4].map((document) => sample(document, document < right))
    await third.say(
      ['samples', { key, samples: all }],
      ['samples', { key, samples: all.slice(0, 2) }],
    )
    await third.say(['evaluated', { key, documents: 5 }])
  }
  await third.say(['finished', { summary: { loss: 0.5 } }])
  assert.equal((await runOf(attempt.runId)).status, 'SUCCEEDED')
  const [adapter] = await db.select().from(adapters).where(eq(adapters.runId, attempt.runId))
  assert.deepEqual([adapter!.sha256, adapter!.r, adapter!.alpha], [file.sha256, 16, 32])
  const [comparison] = await db
    .select()
    .from(comparisons)
    .where(eq(comparisons.runId, attempt.runId))
  const [task] = await db
    .select()
    .from(comparisonTasks)
    .where(eq(comparisonTasks.comparisonId, comparison!.id))
  assert.deepEqual(
    [task!.n, task!.baseline, task!.candidate, task!.gained, task!.lost],
    [5, 0.4, 0.8, 2, 0],
  )
  const stored = (await eventsOf(attempt.runId)).filter(({ type }) => type === 'samples')
  assert.deepEqual(stored[0]!.body, { key: 'BASE:who_is_bigger', count: 5 })
})

/** The attempt is lost, its seq with it. */
async function startOver(attempt: Attempt): Promise<Attempt> {
  await expire(attempt.runId)
  await reap(db)
  return startAttempt(ctx)
}

test('an evaluation that an attempt starts again keeps its samples while the prompts are the same; what is finished is not ordered again', async () => {
  const attempt = await begin({ evaluate: { tasks: [{ task: 'who_is_bigger', limit: 2 }] } })
  const key = 'BASE:who_is_bigger'
  await attempt.say(
    started(),
    ['evaluation', { key, promptHash: 'p', documents: 2 }],
    ['samples', { key, samples: [sample(0, true)] }],
  )
  await assert.rejects(
    attempt.say(['evaluated', { key, documents: 2 }]),
    /expected samples of 2 documents, got 1/,
  )
  const second = await startOver(attempt)
  const job = () => runOf(second.runId).then((run) => buildJob(ctx, run))
  assert.deepEqual(
    (await job()).evaluations.map(({ key }) => key),
    [key, 'ADAPTER:who_is_bigger'],
  )
  const kept = async () => {
    const mine = eq(evaluations.runId, attempt.runId)
    const [evaluation] = await db.select().from(evaluations).where(mine)
    return db.$count(samples, eq(samples.evaluationId, evaluation!.id))
  }
  await second.say(started(), ['evaluation', { key, promptHash: 'p', documents: 2 }])
  assert.equal(await kept(), 1)
  await second.say(['evaluation', { key, promptHash: 'other', documents: 2 }])
  assert.equal(await kept(), 0)
  await second.say(
    ['samples', { key, samples: [sample(0, false), sample(1, false)] }],
    ['evaluated', { key, documents: 2 }],
  )
  assert.deepEqual(
    (await job()).evaluations.map(({ key }) => key),
    ['ADAPTER:who_is_bigger'],
  )
  await second.say(['failed', { code: 'INPUT', message: 'enough' }])

  const other = await begin({ evaluate: { tasks: [{ task: 'who_is_bigger', limit: 2 }] } })
  const reusing = await buildJob(ctx, await runOf(other.runId))
  assert.deepEqual(
    reusing.evaluations.map(({ key }) => key),
    ['ADAPTER:who_is_bigger'],
  )
  await other.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('of a run’s checkpoints the newest two are kept', async () => {
  const attempt = await begin()
  await attempt.say(started())
  for (const step of [1, 2, 3, 4]) {
    const { id } = await attempt.store('CHECKPOINT', 'checkpoint.bin', `at ${step}`, step)
    await attempt.say(['checkpoint', { step, artifact: id }])
  }
  const kept = await db.select().from(artifacts).where(eq(artifacts.runId, attempt.runId))
  assert.deepEqual(kept.map(({ step }) => step).sort(), [3, 4])
  assert.deepEqual(
    (await readdir(`${ctx.config.home}/artifacts/${attempt.runId}`)).sort(),
    kept.map(({ id }) => id).sort(),
  )
  await attempt.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('a run that has succeeded keeps its adapter and no checkpoint', async () => {
  const attempt = await begin({ evaluate: null })
  await attempt.say(started())
  for (const step of [1, 2]) {
    const { id } = await attempt.store('CHECKPOINT', 'checkpoint.bin', `at ${step}`, step)
    await attempt.say(['checkpoint', { step, artifact: id }])
  }
  const { id, sha256 } = await attempt.store('ADAPTER', 'adapter_model.safetensors', 'adapter')
  await attempt.say(['adapter', { artifacts: [id], sha256, parameters: 1 }])
  const before = await db.select().from(artifacts).where(eq(artifacts.runId, attempt.runId))
  assert.equal(before.length, 3, 'scoring may still fail')
  await attempt.say(['finished', { summary: {} }])
  const kept = await db.select().from(artifacts).where(eq(artifacts.runId, attempt.runId))
  assert.deepEqual(
    kept.map(({ kind }) => kind),
    ['ADAPTER'],
  )
  assert.deepEqual(await readdir(`${ctx.config.home}/artifacts/${attempt.runId}`), [id])
})

test('checkpoints that were stored before the first of them was named are kept until they are', async () => {
  const attempt = await begin()
  const ids: string[] = []
  for (const step of [1, 2, 3, 4])
    ids.push((await attempt.store('CHECKPOINT', 'checkpoint.bin', `at ${step}`, step)).id)
  await attempt.say(
    started(),
    ...ids.map((artifact, i): Said => ['checkpoint', { step: i + 1, artifact }]),
  )
  const kept = await db.select().from(artifacts).where(eq(artifacts.runId, attempt.runId))
  assert.deepEqual(kept.map(({ step }) => step).sort(), [3, 4])
  await attempt.say(['failed', { code: 'INPUT', message: 'enough' }])
})

test('garbage is refused with its place, and what Postgres cannot keep is made storable', async () => {
  const text = (events: unknown) => JSON.stringify({ events })
  const garbage = [
    'not json',
    '[]',
    text([{ seq: 0, at: 'now', type: 'log' }]),
    text([numbered(1, 'metrics', { step: 2 ** 31, values: {} })]),
    text([numbered(1, 'metrics', { step: 1, values: { 'a b': 1 } })]),
    text([
      numbered(1, 'metrics', {
        step: 1,
        values: Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`m${i}`, 1])),
      }),
    ]),
    text([numbered(1, 'log', { level: 'info', message: 'x'.repeat(8193) })]),
    text(Array.from({ length: 1001 }, (_, i) => numbered(i + 1, 'phase', { phase: 'TRAIN' }))),
  ]
  for (const body of garbage) assert.throws(() => parseBatch(body), InvalidInput, body.slice(0, 80))
  const attempt = await begin()
  const odd = parseBatch(text([numbered(1, 'log', { level: 'info', message: 'a\0b \ud800 c' })]))
  await attempt.post(odd.events)
  const [log] = (await eventsOf(attempt.runId)).filter(({ type }) => type === 'log')
  assert.equal(log!.body['message'], 'a\ufffdb \ufffd c')
  await attempt.post([numbered(2, 'failed', { code: 'INPUT', message: 'enough' })])
})

test('two posts of one attempt at once are stored once and in order', async () => {
  const attempt = await begin()
  const batch = [
    numbered(1, 'phase', { phase: 'TRAIN' }),
    numbered(2, ...loss(1)),
    numbered(3, ...loss(2)),
  ]
  const answers = await Promise.all([
    attempt.post(batch),
    attempt.post(batch.slice(0, 2)),
    attempt.post(batch),
    attempt.post(batch),
  ])
  assert.equal(Math.max(...answers.map(({ acknowledged }) => acknowledged)), 3)
  const stored = (await eventsOf(attempt.runId)).filter(({ source }) => source === 'RUNTIME')
  assert.deepEqual(
    stored.map(({ sourceSeq }) => sourceSeq),
    [1, 2, 3],
  )
  await attempt.post([numbered(4, 'failed', { code: 'INPUT', message: 'enough' })])
})
