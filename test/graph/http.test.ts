import assert from 'node:assert/strict'
import test from 'node:test'
import { auditServer } from 'graphql-http'
import { endpoint, install } from './installation.ts'

const here = await install()

test('the endpoint passes every audit of the GraphQL over HTTP specification', async () => {
  const fetchFn = (url: string, init: RequestInit) => here.graph.fetch(new Request(url, init))
  const results = await auditServer({ url: endpoint, fetchFn })
  const failed = results
    .filter(({ status }) => status !== 'ok')
    .map(({ id, name, status }) => `${id} ${status}: ${name}`)
  assert.deepEqual(failed, [])
  assert.ok(results.length >= 61, `${results.length} audits`)
})

test('answers may not be read by other sites’ pages', async () => {
  const response = await here.post('{ leaderboard { task } }', {}, { origin: 'https://evil.test' })
  const allowed = [...response.headers.keys()].filter((name) => name.startsWith('access-control'))
  assert.deepEqual(allowed, [])
})

test('a mutation by GET is refused', async () => {
  const url = `${endpoint}?query=${encodeURIComponent('mutation { revokeApiKey(id: "x") { __typename } }')}`
  const response = await here.graph.fetch(new Request(url, { headers: here.bearer }))
  assert.equal(response.status, 405)
})

test('several operations in one body are refused', async () => {
  const body = JSON.stringify([{ query: '{ __typename }' }, { query: '{ __typename }' }])
  const headers = { 'content-type': 'application/json', ...here.bearer }
  assert.equal(
    (await here.graph.fetch(new Request(endpoint, { method: 'POST', headers, body }))).status,
    400,
  )
})

test('a body of more than a mebibyte is refused', async () => {
  assert.equal((await here.post(`{ __typename } # ${'x'.repeat(1 << 20)}`)).status, 413)
})
