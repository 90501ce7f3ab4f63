/** Which samples an evaluation may keep or copy, and that shards finish it together, once. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { and, asc, eq } from 'drizzle-orm'
import { sha256 } from '#api/canonical.ts'
import { InvalidInput } from '#api/problem.ts'
import { holdActiveAttempt } from '#api/runs/attempt.ts'
import { createEvaluation, createTraining } from '#api/runs/create.ts'
import { known, parseQuestion } from '#api/runs/known.ts'
import { evaluations, evaluationShards, runs, samples } from '#schema/tables.ts'
import { startAttempt, started, type Attempt, type Said } from '#test/support/attempt.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { sample } from '#test/support/runtime.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)
const { db } = ctx

const key = 'BASE:who_is_bigger'
const contentOf = (document: number, version = '') => sha256(`content of ${document}${version}`)
const answered = (document: number) => ({
  ...sample(document, document % 2 === 0),
  content: contentOf(document),
})
const ask = (attempt: Attempt, documents: readonly number[], of = contentOf) =>
  db.transaction(async (tx) => {
    const run = await holdActiveAttempt(tx, attempt.token)
    const asked = documents.map((document) => ({ document, content: of(document) }))
    return (await known(tx, run, { key, documents: asked })).known.toSorted((a, b) => a - b)
  })

let runsMade = 0
const evaluate = async (more: { limit?: number; shards?: number } = {}) => {
  const { limit, shards } = more
  return createEvaluation(ctx, actor, {
    idempotencyKey: `evaluation ${++runsMade}`,
    model: { path: files.model },
    tasks: [{ task: 'who_is_bigger', ...(limit === undefined ? {} : { limit }) }],
    ...(shards === undefined ? {} : { shards }),
  })
}
const begin = (documents: number, promptHash = 'p') =>
  ['evaluation', { key, promptHash, documents }] as const
const stop = ['failed', { code: 'INPUT', message: 'enough' }] as const

test('samples of an evaluation that failed are copied; another content is another sample', async () => {
  await evaluate({ limit: 3 })
  const first = await startAttempt(ctx)
  await first.say(started(), begin(3))
  assert.deepEqual(await ask(first, [0, 1, 2]), [])
  await first.say(['samples', { key, samples: [answered(0), answered(1)] }])
  assert.deepEqual(await ask(first, [0, 1, 2]), [0, 1])
  await first.say(stop)

  await evaluate({ limit: 4 })
  const second = await startAttempt(ctx)
  await second.say(started(), begin(4))
  const changed = (document: number) => contentOf(document, document === 1 ? ', corrected' : '')
  assert.deepEqual(await ask(second, [0, 1, 2, 3], changed), [0])
  // What is stored under a content that is no longer asked for goes.
  assert.deepEqual(await ask(second, [0, 1, 2, 3]), [0, 1])
  assert.deepEqual(await ask(second, [0, 1, 2, 3], changed), [0])
  const copies = await db
    .select()
    .from(samples)
    .innerJoin(evaluations, eq(evaluations.id, samples.evaluationId))
    .where(eq(samples.document, 0))
    .orderBy(asc(evaluations.createdAt))
  const [original, copy] = copies.map(({ samples: { evaluationId: _, ...row } }) => row)
  assert.deepEqual(copy, original)
  await second.say(stop)
})

test('samples without a content are nobody else’s, and not known after a restart either', async () => {
  await evaluate({ limit: 5 })
  const attempt = await startAttempt(ctx)
  await attempt.say(started(), begin(5), ['samples', { key, samples: [sample(4, true)] }])
  assert.deepEqual(await ask(attempt, [4]), [])
  await attempt.say(stop)
})

test('an adapter’s key is the same whether or not its files were named in the same post', async () => {
  const keys: (string | null)[] = []
  for (const together of [true, false]) {
    await createTraining(ctx, actor, trainInput(files))
    const attempt = await startAttempt(ctx)
    const weights = await attempt.store('ADAPTER', 'adapter_model.safetensors', 'weights')
    const config = await attempt.store('ADAPTER', 'adapter_config.json', '{}')
    const artifacts = [weights.id, config.id]
    const made: Said = ['adapter', { artifacts, sha256: weights.sha256, parameters: 1 }]
    const next: Said = [
      'evaluation',
      { key: 'ADAPTER:who_is_bigger', promptHash: 'p', documents: 5 },
    ]
    if (together) await attempt.say(started(), made, next)
    else for (const said of [started(), made, next]) await attempt.say(said)
    const [row] = await db.select().from(evaluations).where(eq(evaluations.runId, attempt.runId))
    keys.push(row!.answersKey)
    await attempt.say(stop)
  }
  assert.ok(keys[0] !== null)
  assert.equal(keys[0], keys[1])
})

test('two shards that end at once finish their one evaluation', async () => {
  const lead = await evaluate({ shards: 2 })
  const [a, b] = [await startAttempt(ctx), await startAttempt(ctx)]
  assert.deepEqual((await db.select().from(runs).where(eq(runs.leadId, lead.id))).length, 2)
  await Promise.all([a, b].map((attempt) => attempt.say(started(), begin(5))))
  await assert.rejects(b.say(begin(5, 'other prompts')), InvalidInput)
  const rows = await db.select().from(evaluations).where(eq(evaluations.runId, lead.id))
  assert.equal(rows.length, 1)
  const mine = eq(evaluations.id, rows[0]!.id)
  const shards = () =>
    db.select().from(evaluationShards).where(eq(evaluationShards.evaluationId, rows[0]!.id))
  const finished = async () => (await db.select().from(evaluations).where(mine))[0]!.finishedAt

  const parts = [
    [a, [0, 1, 2]],
    [b, [3, 4]],
  ] as const
  for (const [attempt, documents] of parts)
    await attempt.say(['samples', { key, samples: documents.map((d) => answered(d)) }])
  assert.deepEqual([(await shards()).length, await finished()], [0, null])
  await Promise.all(
    parts.map(([attempt]) =>
      attempt.say(['evaluated', { key, documents: 5 }], ['finished', { summary: {} }]),
    ),
  )
  assert.equal((await shards()).length, 2)
  assert.ok((await finished()) !== null)
  const done = and(eq(runs.leadId, lead.id), eq(runs.status, 'SUCCEEDED'))
  assert.equal(await db.$count(runs, done), 2)
})

test('a shard that ends without the samples of its part cannot make a mean of the rest', async () => {
  await evaluate({ limit: 2, shards: 2 })
  const both = [await startAttempt(ctx), await startAttempt(ctx)]
  for (const attempt of both) await attempt.say(started(), begin(2))
  await both[0]!.say(['samples', { key, samples: [answered(0)] }])
  await both[0]!.say(['evaluated', { key, documents: 2 }])
  await assert.rejects(
    both[1]!.say(['evaluated', { key, documents: 2 }]),
    /expected samples of 2 documents, got 1/,
  )
})

test('questions have limits, and say what was wrong and where', () => {
  const documents = Array.from({ length: 5001 }, (_, document) => ({
    document,
    content: contentOf(document),
  }))
  assert.equal(parseQuestion(JSON.stringify({ key, documents: documents.slice(1) })).key, key)
  for (const body of [
    'not json',
    JSON.stringify({ key, documents }),
    JSON.stringify({ key, documents: [{ document: -1, content: contentOf(0) }] }),
    JSON.stringify({ key, documents: [{ document: 1, content: 'x' }] }),
    JSON.stringify({ key: 'k'.repeat(201), documents: [] }),
  ])
    assert.throws(() => parseQuestion(body), InvalidInput, body.slice(0, 80))
})
