/** Comparisons on a real Postgres: what is paired, what is reused, what is refused. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { eq } from 'drizzle-orm'
import { compareRun, compareSubjects } from '#api/evaluation/compare.ts'
import { finishEvaluation } from '#api/evaluation/finish.ts'
import { reusable } from '#api/evaluation/reuse.ts'
import { settingsHash } from '#api/evaluation/settings.ts'
import { Conflict, InvalidInput, NotFound } from '#api/problem.ts'
import { comparisons, comparisonTasks, scores } from '#schema/tables.ts'
import { testDatabase } from '#test/support/database.ts'
import { answers, createWorld, flipped, settings, sha } from './world.ts'

const database = await testDatabase()
const world = await createWorld(database.db)
const { db } = world

const tasksOf = (comparisonId: string) =>
  db
    .select()
    .from(comparisonTasks)
    .where(eq(comparisonTasks.comparisonId, comparisonId))
    .orderBy(comparisonTasks.metric)

test('the settings hash does not depend on the order of keys, and on nothing else but the settings', () => {
  const given = settings()
  const reversed = Object.fromEntries(Object.entries(given).reverse()) as typeof given
  assert.equal(settingsHash(reversed), settingsHash(given))
  const changes = [
    { limit: 100 },
    { version: 2 },
    { rowsSha256: sha('other') },
    { task: 'arc_easy' as const },
  ]
  assert.equal(new Set([{}, ...changes].map((change) => settingsHash(settings(change)))).size, 5)
})

test('a finished evaluation has mean and standard error of each metric, also when it is finished twice', async () => {
  const base = await world.model('finish')
  const run = await world.run(base)
  const evaluation = await world.evaluation(run.id, { baseModelId: base.id, adapterId: null }, [
    1,
    1,
    0,
    1,
    null,
  ])
  await finishEvaluation(db, evaluation.id)
  const rows = await db
    .select()
    .from(scores)
    .where(eq(scores.evaluationId, evaluation.id))
    .orderBy(scores.metric)
  // sqrt(0.75 * 0.25 / 3): four finite scores, one wrong.
  const expected = {
    evaluationId: evaluation.id,
    n: 4,
    value: 0.75,
    standardError: 0.25,
    cleanN: null,
    cleanValue: null,
    cleanStandardError: null,
  }
  assert.deepEqual(rows, [
    { ...expected, metric: 'acc' },
    { ...expected, metric: 'acc_norm' },
  ])
})

test('an evaluation that lacks samples does not finish', async () => {
  const base = await world.model('partial')
  const run = await world.run(base)
  const subject = { baseModelId: base.id, adapterId: null }
  const evaluation = await world.evaluation(run.id, subject, answers(3, 1), { finished: false })
  await db.execute(`delete from samples where evaluation_id = '${evaluation.id}' and document = 1`)
  await assert.rejects(
    finishEvaluation(db, evaluation.id),
    /expected samples of 3 documents, got 2/,
  )
  assert.equal(await reusable(db, { ...subject, settingsHash: evaluation.settingsHash }), null)
})

test('a training run is compared with its base on shared samples, once', async () => {
  const base = await world.model('shared')
  const adapter = await world.adapter(base, 'tuned')
  const before = answers(200, 100)
  // Eight wrong ones become right, three right ones wrong.
  const after = flipped(before, 1, 8).map((answer, i) => (i < 3 ? 0 : answer))
  await world.evaluation(adapter.run.id, { baseModelId: base.id, adapterId: null }, before)
  await world.evaluation(adapter.run.id, { baseModelId: base.id, adapterId: adapter.id }, after)
  const id = await compareRun(db, adapter.run.id)
  assert.equal(await compareRun(db, adapter.run.id), id)

  const [acc, accNorm] = await tasksOf(id!)
  assert.equal(accNorm!.metric, 'acc_norm')
  const { n, leftOut, gained, lost, baseline, candidate, difference, level } = acc!
  assert.deepEqual(
    { n, leftOut, gained, lost, baseline, candidate, level },
    {
      n: 200,
      leftOut: 0,
      gained: 8,
      lost: 3,
      baseline: 0.5,
      candidate: 0.525,
      level: 0.95,
    },
  )
  assert.ok(Math.abs(difference - 0.025) < 1e-15)
  // 2 * (1 + 11 + 55 + 165) / 2^11
  assert.ok(Math.abs(acc!.pValue - 464 / 2048) < 1e-12)
  assert.ok(acc!.low < 0 && acc!.high > 0.025 && acc!.high < 0.07)
})

test('a sample on one side only, with another hash or without a finite score is left out and counted', async () => {
  const base = await world.model('ragged')
  const adapter = await world.adapter(base, 'ragged')
  await world.evaluation(adapter.run.id, { baseModelId: base.id, adapterId: null }, [
    1,
    1,
    0,
    0,
    null,
    1,
    1,
  ])
  await world.evaluation(
    adapter.run.id,
    { baseModelId: base.id, adapterId: adapter.id },
    [1, 0, 1, 0, 1],
    {
      hash: (document) => sha(document === 3 ? 'asked differently' : `document ${document}`),
    },
  )
  const [acc] = await tasksOf((await compareRun(db, adapter.run.id))!)
  // Paired: 0, 1, 2. Left out: 3 (hash), 4 (not finite), 5 and 6 (base only).
  assert.deepEqual([acc!.n, acc!.leftOut, acc!.gained, acc!.lost], [3, 4, 1, 1])
})

test('the base evaluation of an earlier run is reused, but not one under other settings', async () => {
  const base = await world.model('reused')
  const first = await world.run(base)
  const subject = { baseModelId: base.id, adapterId: null }
  const evaluation = await world.evaluation(first.id, subject, answers(10, 5))
  await world.evaluation(first.id, subject, answers(5, 5), { settings: settings({ limit: 5 }) })
  await world.evaluation(first.id, subject, answers(10, 9), { finished: false })
  const found = await reusable(db, { ...subject, settingsHash: settingsHash(settings()) })
  assert.equal(found?.id, evaluation.id)

  const adapter = await world.adapter(base, 'second')
  await world.evaluation(
    adapter.run.id,
    { baseModelId: base.id, adapterId: adapter.id },
    answers(10, 7),
  )
  const [acc] = await tasksOf((await compareRun(db, adapter.run.id))!)
  assert.equal(acc!.baselineEvaluationId, evaluation.id)
})

test('a run that was not evaluated has no comparison', async () => {
  const base = await world.model('silent')
  const adapter = await world.adapter(base, 'silent')
  assert.equal(await compareRun(db, adapter.run.id), null)
  const count = await db.select().from(comparisons).where(eq(comparisons.runId, adapter.run.id))
  assert.equal(count.length, 0)
})

test('any two subjects are compared on the settings that they share, the larger ones first', async () => {
  const [small, large] = [await world.model('small'), await world.model('large')]
  const adapter = await world.adapter(large, 'large tuned')
  const few = settings({ limit: 5 })
  const elsewhere = settings({ task: 'arc_easy' })
  const candidate = { baseModelId: large.id, adapterId: adapter.id }
  await world.evaluation(
    adapter.run.id,
    { baseModelId: small.id, adapterId: null },
    answers(5, 1),
    { settings: few },
  )
  await world.evaluation(adapter.run.id, { baseModelId: small.id, adapterId: null }, answers(20, 5))
  await world.evaluation(adapter.run.id, candidate, answers(20, 15))
  await world.evaluation(adapter.run.id, candidate, answers(5, 5), { settings: few })
  await world.evaluation(adapter.run.id, candidate, answers(5, 5), { settings: elsewhere })

  const actor = { accountId: world.accountId }
  const refs = { baseline: { modelId: small.id }, candidate: { adapterId: adapter.id } }
  const comparison = await compareSubjects({ db }, actor, refs)
  assert.equal(comparison.runId, null)
  const rows = await tasksOf(comparison.id)
  assert.deepEqual(
    rows.map((row) => [row.task, row.metric, row.n]),
    [
      ['openbookqa', 'acc', 20],
      ['openbookqa', 'acc_norm', 20],
    ],
  )

  await assert.rejects(
    compareSubjects({ db }, actor, { ...refs, tasks: ['arc_easy'] }),
    (error: unknown) =>
      error instanceof Conflict &&
      /baseline has openbookqa, candidate has .*arc_easy/.test(error.message),
  )
  await assert.rejects(compareSubjects({ db }, actor, { ...refs, tasks: ['chess'] }), InvalidInput)
  await assert.rejects(
    compareSubjects({ db }, actor, { ...refs, baseline: { adapterId: small.id } }),
    NotFound,
  )
})
