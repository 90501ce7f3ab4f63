/** What was computed once is not computed again, and is nobody else's: real runtimes, killed and started again. */
import assert from 'node:assert/strict'
import { cp, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { asc, eq } from 'drizzle-orm'
import { embedded } from '#demo/embedded.ts'
import { evaluations, samples } from '#schema/tables.ts'
import { install, smallTraining, statuses, uuid, type Event } from './installation.ts'

const there = await install()
const { db } = there.server.context

const task = 'who_is_bigger'
const all = 440

/** The embedded model at another place under another revision: nothing of one is known of the other. */
async function modelNamed(name: string): Promise<string> {
  const path = join(there.inputs, name)
  await cp(embedded.model, path, { recursive: true })
  const file = join(path, 'config.json')
  const config = JSON.parse(await readFile(file, 'utf8')) as object
  await writeFile(file, JSON.stringify({ ...config, _name_or_path: name }))
  return path
}

/** Documents that runtimes computed in a run. */
const computed = (events: readonly Event[]): number =>
  events
    .filter(({ type }) => type === 'samples')
    .reduce((n, { body }) => n + (body['count'] as number), 0)

/** Samples of a run's one evaluation, in the order of the rows, less what names the evaluation. */
async function samplesOf(run: any, subject: 'BASE' | 'ADAPTER' = 'BASE') {
  const isBase = subject === 'BASE'
  const { id } = run.evaluations.find(({ adapter }: any) => (adapter === null) === isBase)
  const rows = await db
    .select()
    .from(samples)
    .where(eq(samples.evaluationId, uuid(id)))
    .orderBy(asc(samples.document))
  return rows.map(({ evaluationId: _, key: __, ...sample }) => sample)
}
const documents = (count: number) => Array.from({ length: count }, (_, i) => i)

async function evaluated(subject: object, options: { limit?: number; rows?: string } = {}) {
  const { run, events } = await there.ended(
    await there.evaluate({ ...subject, tasks: [{ task, ...options }] }),
  )
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  return { run, events, computed: computed(events) }
}

test('kill -9 in the middle of scoring: the next attempt computes the rest, and all is as if nothing had happened', async () => {
  // Small batches on one thread, so that there is a middle; rows thrice, so that equal documents are there too.
  const rows = join(there.inputs, 'thrice.jsonl')
  await writeFile(rows, (await readFile(embedded.benchmark, 'utf8')).repeat(3))
  const n = 3 * all
  const input = { tasks: [{ task, rows }], engine: { threads: 1, tokenBudget: 64 } }
  const id = await there.evaluate({ model: { path: await modelNamed('killed') }, ...input })
  await there.until(id, ({ type }) => type === 'samples')
  await there.signal(id, 'SIGKILL')
  const { run, events } = await there.ended(id)
  assert.deepEqual(statuses(events).filter((status) => status === 'STARTING').length, 2)
  const first = computed(events.filter(({ attempt }) => attempt === 1))
  const second = computed(events.filter(({ attempt }) => attempt === 2))
  assert.ok(first > 0 && second > 0, `${first} and ${second}`)
  assert.equal(first + second, n)
  const progress = events.filter(({ type }) => type === 'progress')
  assert.deepEqual([progress.at(-1)!.body['done'], progress.at(-1)!.body['total']], [n, n])
  assert.ok(progress.every(({ attempt, body }) => attempt === 1 || body['done'] > first))

  const undisturbed = await there.ended(
    await there.evaluate({ model: { path: await modelNamed('undisturbed') }, ...input }),
  )
  assert.equal(computed(undisturbed.events), n)
  const found = await samplesOf(run)
  assert.deepEqual(
    found.map(({ document }) => document),
    documents(n),
  )
  assert.deepEqual(found, await samplesOf(undisturbed.run))
  assert.deepEqual(run.evaluations[0].scores, undisturbed.run.evaluations[0].scores)
})

test('a larger limit computes the rest, and rows that are known computes nothing', async () => {
  const subject = { model: { path: await modelNamed('limits') } }
  const small = await evaluated(subject, { limit: 100 })
  assert.equal(small.computed, 100)
  const large = await evaluated(subject, { limit: 200 })
  assert.equal(large.computed, 100)
  assert.deepEqual((await samplesOf(large.run)).slice(0, 100), await samplesOf(small.run))
  assert.equal(large.run.evaluations[0].scores[0].n, 200)

  // The same rows in another file are another setting, so that the whole evaluation cannot be taken over.
  const lines = (await readFile(embedded.benchmark, 'utf8')).trimEnd().split('\n').slice(0, 150)
  const rows = join(there.inputs, 'some.jsonl')
  await writeFile(rows, lines.map((line) => ` ${line}\n`).join(''))
  const again = await evaluated(subject, { rows })
  const said = again.events.map(({ type }) => type)
  assert.ok(!said.includes('samples') && !said.includes('progress'), said.join())
  assert.deepEqual(await samplesOf(again.run), (await samplesOf(large.run)).slice(0, 150))

  // Another right answer is another document, though the model is asked the same.
  const flipped = lines.map((line, i) => {
    const row = JSON.parse(line) as { gold: number }
    return JSON.stringify(i < 7 ? { ...row, gold: 1 - row.gold } : row)
  })
  await writeFile(rows, flipped.map((line) => `${line}\n`).join(''))
  const corrected = await evaluated(subject, { rows })
  assert.equal(corrected.computed, 7)
  const golds = async (run: any) => (await samplesOf(run)).map(({ gold }) => gold)
  assert.deepEqual(
    await golds(corrected.run),
    (await golds(again.run)).map((gold, i) => (i < 7 ? 1 - gold! : gold)),
  )
})

test('a model that has changed on disk is another model', async () => {
  const path = await modelNamed('changing')
  const before = await evaluated({ model: { path } }, { limit: 50 })
  const file = await open(join(path, 'model.safetensors'), 'r+')
  const { size } = await file.stat()
  const place = size - 4 * Math.floor(size / 8)
  const half = 2048
  const bytes = Buffer.alloc(2 * half)
  await file.read(bytes, 0, bytes.length, place)
  const swapped = Buffer.concat([bytes.subarray(half), bytes.subarray(0, half)])
  await file.write(swapped, 0, swapped.length, place)
  await file.close()
  const after = await evaluated({ model: { path } }, { limit: 50 })
  assert.deepEqual([before.computed, after.computed], [50, 50])
  assert.notEqual(before.run.model.id, after.run.model.id)
  const values = async (run: any) => (await samplesOf(run)).map(({ choices }) => choices)
  assert.notDeepEqual(await values(after.run), await values(before.run))
})

test('adapters: equal weights share what is known, others and the base know nothing of it', async () => {
  const trained = async (seed: number, limit: number) => {
    const recipe = { ...smallTraining.recipe, seed, maxSteps: 3, evalEvery: 0 }
    const { run, events } = await there.ended(
      await there.train({ ...smallTraining, recipe, evaluate: { tasks: [{ task, limit }] } }),
    )
    assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
    const of = (subject: string) =>
      computed(events.filter(({ body }) => body['key'] === `${subject}:${task}`))
    return { run, base: of('BASE'), adapter: of('ADAPTER') }
  }
  const first = await trained(1, 30)
  const other = await trained(2, 50)
  const equal = await trained(1, 70)
  assert.notEqual(other.run.adapter.sha256, first.run.adapter.sha256)
  assert.equal(equal.run.adapter.sha256, first.run.adapter.sha256)
  assert.notEqual(equal.run.adapter.id, first.run.adapter.id)
  assert.deepEqual([first.base, first.adapter], [30, 30])
  assert.deepEqual([other.base, other.adapter], [20, 50])
  assert.deepEqual([equal.base, equal.adapter], [20, 40])
  const values = async (run: any, subject: 'BASE' | 'ADAPTER') =>
    (await samplesOf(run, subject)).slice(0, 30).map(({ choices }) => choices)
  assert.deepEqual(await values(equal.run, 'ADAPTER'), await values(first.run, 'ADAPTER'))
  assert.notDeepEqual(await values(other.run, 'ADAPTER'), await values(first.run, 'ADAPTER'))
  assert.notDeepEqual(await values(first.run, 'BASE'), await values(first.run, 'ADAPTER'))
})

const shardsDocument = `query ($id: ID!) { run(id: $id) {
  shard { index count } lead { id } siblings { id status shard { index count } } evaluations { id finishedAt }
} }`

test('shards: one is killed, one canceled and tried again; the scores are those of an undivided evaluation, to the bit', async () => {
  const rows = join(there.inputs, 'sixfold.jsonl')
  await writeFile(rows, (await readFile(embedded.benchmark, 'utf8')).repeat(6))
  const n = 6 * all
  const input = { tasks: [{ task, rows }], engine: { threads: 1, tokenBudget: 64 } }
  const lead = await there.evaluate({
    model: { path: await modelNamed('sharded') },
    ...input,
    shards: 3,
  })
  const look = async (id: string) => (await there.client.query<any>(shardsDocument, { id })).run
  const { siblings } = await look(lead)
  assert.deepEqual(
    siblings.map(({ shard }: any) => shard),
    [0, 1, 2].map((index) => ({ index, count: 3 })),
  )
  assert.equal(siblings[0].id, lead)
  const canceled = siblings.at(-1).id
  const cancel = 'mutation ($id: ID!) { cancelRun(id: $id) { __typename } }'
  await there.client.query(cancel, { id: canceled })
  await there.until(lead, ({ type }) => type === 'samples')
  await there.signal(lead, 'SIGKILL')
  const runs = await Promise.all(siblings.map(({ id }: any) => there.ended(id)))
  assert.deepEqual(
    runs.map(({ run }) => run.status),
    ['SUCCEEDED', 'SUCCEEDED', 'CANCELED'],
  )
  assert.equal((await look(lead)).evaluations[0].finishedAt, null)

  const retry =
    'mutation ($id: ID!) { retryRun(id: $id, idempotencyKey: "the third") { ... on Run { id } ... on Problem { message } } }'
  const { retryRun } = await there.client.query<any>(retry, { id: canceled })
  const last = await there.ended(retryRun.id)
  assert.equal(last.run.status, 'SUCCEEDED')
  const told = await look(retryRun.id)
  assert.deepEqual(
    [told.shard, told.lead.id, told.siblings.length],
    [{ index: 2, count: 3 }, lead, 4],
  )
  const { run } = await there.ended(lead)
  assert.ok(run.evaluations[0].finishedAt !== null)
  const parts = [...runs, last].map(({ events }) => computed(events))
  assert.ok(parts.filter((n) => n > 0).length === 3, parts.join())
  assert.equal(
    parts.reduce((a, b) => a + b),
    n,
  )

  const whole = await there.ended(
    await there.evaluate({ model: { path: await modelNamed('undivided') }, ...input }),
  )
  assert.equal(computed(whole.events), n)
  assert.deepEqual(await samplesOf(run), await samplesOf(whole.run))
  assert.deepEqual(run.evaluations[0].scores, whole.run.evaluations[0].scores)

  const again = await there.evaluate({
    model: { path: join(there.inputs, 'sharded') },
    ...input,
    shards: 2,
  })
  const { siblings: pair } = await look(again)
  const ends = await Promise.all(pair.map(({ id }: any) => there.ended(id)))
  assert.deepEqual(
    ends.map(({ events }) => computed(events)),
    [0, 0],
  )
  assert.deepEqual(await samplesOf((await there.ended(again)).run), await samplesOf(whole.run))
})

test('of all this nothing is left but what was to be kept', async () => {
  await there.idle()
  assert.deepEqual(await there.halfDone(), [])
  assert.ok((await db.$count(evaluations)) > 0)
})
