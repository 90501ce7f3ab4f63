import assert from 'node:assert/strict'
import test from 'node:test'
import { createClient } from 'graphql-sse'
import { createApiKey, revokeApiKey, verifyKey } from '#api/accounts/keys.ts'
import { advance } from '#api/runs/advance.ts'
import { append } from '#api/runs/events.ts'
import { lockRun } from '#api/runs/run.ts'
import { createWorld } from '#test/evaluation/world.ts'
import { endpoint, install } from './installation.ts'

const here = await install()
const { db } = here.ctx
const world = await createWorld(db)
const model = await world.model('stories260K')

const running = () => world.run(model, { status: 'RUNNING' })

const say = (id: string, step: number) =>
  db.transaction(async (tx) => {
    const run = await lockRun(tx, id)
    await append(tx, run, [
      { source: 'RUNTIME', seq: step, type: 'metrics', body: { step, values: { loss: 4 - step } } },
    ])
  })

const end = (id: string) =>
  db.transaction(async (tx) => {
    await advance(tx, await lockRun(tx, id), 'SUCCEEDED')
  })

const query = `subscription ($id: ID!, $after: Int! = 0) { runEvents(id: $id, after: $after) {
  cursor type status step metrics { name value } progress { done } } }`

type Event = {
  cursor: number
  type: string
  status: string | null
  step: number | null
  metrics: unknown
}

/** The official client of GraphQL over Server-Sent Events, its fetch led to the endpoint. */
function follow(id: string, after = 0, headers: Record<string, string> = here.bearer) {
  const client = createClient({
    url: endpoint,
    headers,
    retryAttempts: 0,
    fetchFn: (url: string, init: RequestInit) => here.graph.fetch(new Request(url, init)),
  })
  return client.iterate<{ runEvents: Event }>({ query, variables: { id, after } })
}

/** Events until the stream ends or `until` says so. */
async function take(
  stream: ReturnType<typeof follow>,
  until: (event: Event) => boolean = () => false,
): Promise<Event[]> {
  const seen: Event[] = []
  for await (const { data, errors } of stream) {
    assert.equal(errors, undefined)
    seen.push(data!.runEvents)
    if (until(data!.runEvents)) break
  }
  return seen
}

test('a subscriber sees what happened, then what happens, and the stream ends with the run', async () => {
  const { id } = await running()
  await say(id, 1)
  await say(id, 2)
  const seen = await take(follow(`Run:${id}`), ({ cursor }) => {
    if (cursor === 2) void say(id, 3).then(() => end(id))
    return false
  })
  assert.deepEqual(
    seen.map(({ cursor, type, step, status }) => [cursor, type, step, status]),
    [
      [1, 'metrics', 1, null],
      [2, 'metrics', 2, null],
      [3, 'metrics', 3, null],
      [4, 'status', null, 'SUCCEEDED'],
    ],
  )
  assert.deepEqual(seen[0]!.metrics, [{ name: 'loss', value: 3 }])
})

test('a subscriber that reconnects after event 2 next sees event 3', async () => {
  const { id } = await running()
  for (const step of [1, 2, 3, 4]) await say(id, step)
  const first = await take(follow(id), ({ cursor }) => cursor === 2)
  await say(id, 5)
  await end(id)
  const second = await take(follow(id, first.at(-1)!.cursor))
  assert.deepEqual(
    [...first, ...second].map(({ cursor }) => cursor),
    [1, 2, 3, 4, 5, 6],
  )
})

test('of a run that has ended the rest is told, and after the last event nothing', async () => {
  const { id } = await running()
  await say(id, 1)
  await end(id)
  assert.deepEqual(
    (await take(follow(id, 1))).map(({ cursor }) => cursor),
    [2],
  )
  assert.deepEqual(await take(follow(id, 2)), [])
})

test('a client that goes away stops the tail behind it', async () => {
  const { id } = await running()
  await say(id, 1)
  let ears = 0
  const bell = {
    ...here.ctx.bell,
    listen: (topic: string) => {
      const ear = here.ctx.bell.listen(topic)
      ears += 1
      return { wait: ear.wait.bind(ear), close: () => ((ears -= 1), ear.close()) }
    },
  }
  const { createGraph } = await import('#api/graph/yoga.ts')
  const graph = createGraph({ ...here.ctx, bell })
  const response = await graph.fetch(
    new Request(endpoint, {
      method: 'POST',
      headers: { ...here.bearer, 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query, variables: { id } }),
    }),
  )
  const reader = response.body!.getReader()
  let text = ''
  while (!text.includes('"cursor":1')) text += new TextDecoder().decode((await reader.read()).value)
  assert.equal(ears, 1)
  // The tail now waits for the bell, up to five seconds; cancelling wakes it.
  const before = Date.now()
  await reader.cancel()
  while (ears > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(Date.now() - before < 1000)
})

test('there is nothing to follow where there is no run', async () => {
  for (const id of ['00000000-0000-4000-8000-000000000000', 'nonsense']) {
    const { value } = await follow(id).next()
    assert.equal(value!.errors![0]!.extensions!['code'], 'NOT_FOUND')
  }
})

test('a stream ends when its key is revoked, before it says anything more', async (t) => {
  const owner = (await verifyKey(here.ctx, here.key))!
  const { clear, key } = await createApiKey(here.ctx, owner, { name: 'watcher' })
  const { id } = await running()
  await say(id, 1)
  const stream = follow(id, 0, { authorization: `Bearer ${clear}` })
  assert.equal((await stream.next()).value!.data!.runEvents.cursor, 1)
  await revokeApiKey(here.ctx, owner, key.id)
  // The key is asked for again when the last time was a second ago.
  const now = Date.now
  t.mock.method(Date, 'now', () => now() + 1100)
  await say(id, 2)
  const { value } = await stream.next()
  assert.equal(value!.data?.runEvents, undefined)
  assert.equal(value!.errors![0]!.extensions!['code'], 'UNAUTHENTICATED')
})
