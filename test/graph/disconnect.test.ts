import assert from 'node:assert/strict'
import test from 'node:test'
import { serve } from '@hono/node-server'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGraph } from '#api/graph/yoga.ts'
import { createWorld } from '#test/evaluation/world.ts'
import { install } from './installation.ts'

test('a subscriber whose connection breaks stops the tail behind it', async (t) => {
  const here = await install()
  const listening = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  const bell = {
    ...here.ctx.bell,
    listen(topic: string) {
      const ear = here.ctx.bell.listen(topic)
      listening.resolve()
      const close = () => {
        ear.close()
        closed.resolve()
      }
      return { wait: ear.wait.bind(ear), close }
    },
  }
  const { fetch: answer } = createGraph({ ...here.ctx, bell })
  const started = Promise.withResolvers<AddressInfo>()
  const options = { fetch: answer, port: 0, hostname: '127.0.0.1', overrideGlobalObjects: false }
  const server = serve(options, started.resolve) as Server
  t.after(() => server.close())
  const world = await createWorld(here.ctx.db)
  const { id } = await world.run(await world.model('stories260K'), { status: 'RUNNING' })
  const client = new AbortController()
  const response = await fetch(`http://127.0.0.1:${(await started.promise).port}/graphql`, {
    method: 'POST',
    signal: client.signal,
    headers: {
      ...here.bearer,
      'content-type': 'application/json',
      accept: 'text/event-stream',
    },
    body: JSON.stringify({ query: `subscription { runEvents(id: "${id}") { cursor } }` }),
  })
  assert.equal(response.status, 200)
  await listening.promise
  // The tail looks at the tables every five seconds by itself; it must not take that long.
  const before = Date.now()
  client.abort()
  await closed.promise
  assert.ok(Date.now() - before < 2000)
})
