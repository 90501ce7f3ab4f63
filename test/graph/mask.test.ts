import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import test from 'node:test'
import { sql } from 'drizzle-orm'
import pino from 'pino'
import { createGraph } from '#api/graph/yoga.ts'
import { createWorld } from '#test/evaluation/world.ts'
import { endpoint, install, type Answer } from './installation.ts'

const here = await install()
const lines: any[] = []
const stream = new Writable({
  write(chunk, _encoding, done) {
    lines.push(JSON.parse(String(chunk)))
    done()
  },
})
const graph = createGraph({ ...here.ctx, log: pino({ level: 'debug' }, stream) })

const world = await createWorld(here.ctx.db)
const { id } = await world.run(await world.model('stories260K'), { status: 'RUNNING' })
// Something that no client is to blame for.
await here.ctx.db.execute(sql`alter table metrics rename to elsewhere`)
await here.ctx.db.execute(sql`alter table events rename to elsewhere_too`)

async function ask(query: string, accept = 'application/json'): Promise<Answer> {
  lines.length = 0
  const response = await graph.fetch(
    new Request(endpoint, {
      method: 'POST',
      headers: { ...here.bearer, 'content-type': 'application/json', accept },
      body: JSON.stringify({ query }),
    }),
  )
  const text = await response.text()
  return JSON.parse(text.startsWith('{') ? text : /^data: (\{.*)$/m.exec(text)![1]!) as Answer
}

for (const [what, query] of Object.entries({
  'a field of a run': `{ run(id: "${id}") { curves { name } } }`,
  'a field of a run in a list': '{ runs { nodes { metricNames } } }',
  'a mutation about a run': `mutation { cancelRun(id: "Run:${id}") { __typename } }`,
  'a subscription to a run': `subscription { runEvents(id: "${id}") { cursor } }`,
})) {
  test(`an unexpected failure of ${what} is masked, and the log has its cause, the run and the id the client was given`, async () => {
    const { errors } = await ask(
      query,
      query.startsWith('subscription') ? 'text/event-stream' : undefined,
    )
    assert.equal(errors!.length, 1)
    const { message, extensions } = errors![0]!
    assert.equal(message, 'Unexpected error.')
    assert.deepEqual(Object.keys(extensions).sort(), ['code', 'errorId'])
    assert.ok(
      !JSON.stringify(errors).includes('elsewhere') && !JSON.stringify(errors).includes('select'),
    )
    assert.equal(lines.length, 1)
    assert.deepEqual(
      [lines[0].errorId, lines[0].runId, lines[0].level],
      [extensions.errorId, id, 50],
    )
    assert.match(JSON.stringify(lines[0].err), /relation \\+"(metrics|events)\\+" does not exist/)
  })
}

test('what a client did is neither masked nor logged', async () => {
  for (const query of [
    '{ nothing }',
    '{ runs(after: "x") { nodes { id } } }',
    '{ run(id: "x") { events(after: -1) { more } } }',
    '{',
  ]) {
    const { errors } = await ask(query)
    if (errors) assert.notEqual(errors[0]!.message, 'Unexpected error.', query)
    assert.deepEqual(lines, [])
  }
})
