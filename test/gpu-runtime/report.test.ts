import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { after } from 'node:test'
import { connect, Lost, Refused } from '#gpu-runtime/client.ts'
import { Canceled, Reporter } from '#gpu-runtime/report.ts'
import { EventBatch, type RunEvent } from '#schema/protocol.ts'

type Answer = number | 'hang up' | { readonly cancel?: boolean }

/** The other end of the wire, which answers as it is told: a status, a broken connection, or an acknowledgement. */
async function api(answer: (post: number) => Answer) {
  const stored: RunEvent[] = []
  const sizes: number[] = []
  const server = createServer(async (request, response) => {
    const { events } = EventBatch.parse(JSON.parse(await text(request)))
    sizes.push(events.length)
    const how = answer(sizes.length)
    if (how === 'hang up') return void request.socket.destroy()
    if (typeof how === 'number') return void response.writeHead(how).end('no')
    const last = stored.at(-1)?.seq ?? 0
    stored.push(...events.filter(({ seq }) => seq > last))
    const acknowledged = stored.at(-1)?.seq ?? 0
    response.end(JSON.stringify({ acknowledged, leaseSeconds: 3, cancel: how.cancel ?? false }))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  after(() => server.close().closeAllConnections())
  const { port } = server.address() as AddressInfo
  const client = connect({ ODDSMITH_URL: `http://127.0.0.1:${port}`, ODDSMITH_TOKEN: 'token' })
  return { client, stored, sizes, server, port }
}

async function text(request: IncomingMessage): Promise<string> {
  let all = ''
  for await (const chunk of request.setEncoding('utf8')) all += chunk as string
  return all
}

const seqs = (events: readonly RunEvent[]) => events.map(({ seq }) => seq)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const aborted = (signal: AbortSignal) =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))

test('a thousand events arrive once each and in order, in posts of at most two hundred', async () => {
  const { client, stored, sizes } = await api(() => ({}))
  const report = new Reporter(client, { leaseSeconds: 30, gather: 20 })
  for (let step = 1; step <= 1000; step++)
    report.event('metrics', { step, values: { loss: 1 / step } })
  await report.close()
  assert.deepEqual(seqs(stored), upTo(1000))
  assert.ok(Math.max(...sizes) <= 200 && sizes.length <= 7, String(sizes))
})

test('while the api answers with errors or not at all, nothing is lost and nothing is doubled', async () => {
  const { client, stored } = await api((post) =>
    post % 3 === 1 ? 503 : post % 3 === 2 ? 'hang up' : {},
  )
  const report = new Reporter(client, { leaseSeconds: 0.3, gather: 5 })
  for (let step = 1; step <= 30; step++) {
    report.event('metrics', { step, values: { loss: 1 } })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await report.close()
  assert.deepEqual(seqs(stored), upTo(30))
})

test('an api that is away for some seconds, port and all, finds everything when it is back', async () => {
  const { client, stored, server, port } = await api(() => ({}))
  const report = new Reporter(client, { leaseSeconds: 3, gather: 10 })
  report.event('phase', { phase: 'TRAIN' })
  await report.flush()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  for (let step = 1; step <= 50; step++) report.event('metrics', { step, values: { loss: 1 } })
  await new Promise((resolve) => setTimeout(resolve, 3000))
  assert.equal(report.signal.aborted, false)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await report.close()
  assert.deepEqual(seqs(stored), upTo(51))
})

test('empty posts renew the lease three times within it, until the last event has been said', async () => {
  const { client, sizes } = await api(() => ({}))
  const report = new Reporter(client, { leaseSeconds: 0.3, gather: 10 })
  await new Promise((resolve) => setTimeout(resolve, 1050))
  // One each 100 ms; a loaded machine may be late.
  assert.ok(
    sizes.length >= 5 && sizes.length <= 11 && sizes.every((size) => size === 0),
    String(sizes),
  )
  report.event('finished', { summary: {} })
  await report.flush()
  const said = sizes.length
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(sizes.length, said)
  await report.close()
})

test('when the end is asked for the signal says so, and goodbye is still heard', async () => {
  const { client, stored } = await api(() => ({ cancel: true }))
  const report = new Reporter(client, { leaseSeconds: 30, gather: 10 })
  report.event('phase', { phase: 'TRAIN' })
  await aborted(report.signal)
  assert.ok(report.signal.reason instanceof Canceled)
  report.event('interrupted', { reason: 'CANCELED', step: null })
  await report.close()
  assert.deepEqual(
    stored.map(({ type }) => type),
    ['phase', 'interrupted'],
  )
})

test('an attempt that has lost its run says nothing more', async () => {
  for (const status of [409, 401]) {
    const { client, sizes } = await api(() => status)
    const report = new Reporter(client, { leaseSeconds: 0.3, gather: 10 })
    report.event('phase', { phase: 'TRAIN' })
    await assert.rejects(report.flush(), Lost)
    assert.ok(report.signal.reason instanceof Lost)
    report.event('phase', { phase: 'EVALUATE' })
    await assert.rejects(report.flush(), Lost)
    await assert.rejects(report.close(), Lost)
    assert.equal(sizes.length, 1)
  }
})

test('an event that the api refuses ends the attempt at once', async () => {
  const { client, sizes } = await api(() => 400)
  const report = new Reporter(client, { leaseSeconds: 30, gather: 10 })
  report.event('phase', { phase: 'TRAIN' })
  await assert.rejects(report.close(), Refused)
  assert.equal(sizes.length, 1)
})

test('an api that never comes back is given up after the patience', async () => {
  const { client } = await api(() => 'hang up')
  const report = new Reporter(client, { leaseSeconds: 0.3, gather: 10, patience: 500 })
  report.event('phase', { phase: 'TRAIN' })
  await assert.rejects(report.close(), /no answer from the api/)
  assert.equal(report.signal.aborted, true)
})

test('in a long wait only progress is dropped, down to the newest', async () => {
  let open = false
  const { client, stored } = await api(() => (open ? {} : 503))
  const report = new Reporter(client, { leaseSeconds: 0.3, gather: 10 })
  for (let i = 1; i <= 5000; i++) {
    report.event('progress', {
      phase: 'TRAIN',
      done: i,
      total: 5000,
      unit: 'step',
      tokensPerSecond: null,
      etaSeconds: null,
    })
    if (i % 10 === 0) report.event('metrics', { step: i / 10, values: { loss: 1 } })
  }
  open = true
  await report.close()
  assert.deepEqual(
    stored.flatMap((event) => (event.type === 'metrics' ? [event.body.step] : [])),
    upTo(500),
  )
  const progress = stored.flatMap((event) => (event.type === 'progress' ? [event.body.done] : []))
  assert.equal(progress.at(-1), 5000)
  assert.ok(progress.length < 2000, String(progress.length))
  assert.deepEqual(
    seqs(stored),
    seqs(stored).toSorted((a, b) => a - b),
  )
})

test('a message that is longer than the protocol allows is cut', async () => {
  const { client, stored } = await api(() => ({}))
  const report = new Reporter(client, { leaseSeconds: 30, gather: 10 })
  report.event('failed', { code: 'ENGINE', message: 'x'.repeat(20_000) })
  await report.close()
  assert.ok(stored[0]!.type === 'failed' && stored[0]!.body.message.length === 8192)
})
