import assert from 'node:assert/strict'
import test from 'node:test'
import { createAccountRoutes } from '#api/accounts/routes.ts'
import { createWorld } from '#test/evaluation/world.ts'
import { endpoint, install } from './installation.ts'

const here = await install()
const { host, origin } = new URL(endpoint)
const world = await createWorld(here.ctx.db)
const run = await world.run(await world.model('stories260K'), { status: 'QUEUED' })

const login = await createAccountRoutes(here.ctx).request(`${origin}/login`, {
  method: 'POST',
  body: new URLSearchParams({ key: here.key }),
  headers: { host, origin },
})
const cookie = login.headers.get('set-cookie')!.split(';')[0]!

const mutation = `mutation { cancelRun(id: "${run.id}") { __typename } }`

test('a cookie lets a page of ours ask and act', async () => {
  const viewer = await here.ask('{ viewer { account { name } } }', {}, { cookie })
  assert.equal(viewer.data.viewer.account.name, 'owner')
  for (const proof of [{ origin, host }, { 'sec-fetch-site': 'same-origin' }] as Record<
    string,
    string
  >[]) {
    assert.equal(
      (await here.ask(mutation, {}, { cookie, ...proof })).data.cancelRun.__typename,
      'Run',
    )
  }
})

test('a cookie lets no other page act, nor one that does not say who it is', async () => {
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.test', host },
    { origin: 'null', host },
    { 'sec-fetch-site': 'same-site' },
    {},
  ]
  for (const headers of foreign) {
    const response = await here.post(mutation, {}, { cookie, ...headers })
    assert.equal(response.status, 403, JSON.stringify(headers))
    const { data, errors } = (await response.json()) as any
    assert.equal(data?.cancelRun ?? null, null)
    assert.equal(errors[0].extensions.code, 'CROSS_SITE')
  }
})

test('a form, which other sites can post without asking, is no way to use a cookie', async () => {
  for (const type of [
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/graphql',
  ]) {
    const body = type.includes('urlencoded')
      ? String(new URLSearchParams({ query: mutation }))
      : mutation
    const request = new Request(endpoint, {
      method: 'POST',
      body,
      headers: { cookie, origin, host, 'content-type': type },
    })
    assert.equal((await here.graph.fetch(request)).status, 415, type)
  }
})

test('a script with a key needs none of this', async () => {
  assert.equal(
    (await here.ask(mutation, {}, { ...here.bearer, origin: 'https://ci.test' })).data.cancelRun
      .__typename,
    'Run',
  )
})

const open = (headers: Record<string, string>, search = '') =>
  here.graph.fetch(
    new Request(endpoint + search, { headers: { accept: 'text/html,*/*', ...headers } }),
  )

test('who opens the endpoint in a browser without a session is led to the login and back', async () => {
  const response = await open({}, '?query=%7B__typename%7D')
  assert.equal(response.status, 303)
  assert.equal(
    response.headers.get('location'),
    '/login?next=%2Fgraphql%3Fquery%3D%257B__typename%257D',
  )
})

test('with a session it is GraphiQL, with example tabs and without a foreign address', async () => {
  const response = await open({ cookie })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type')!, /^text\/html; charset=utf-8/)
  assert.match(
    response.headers.get('content-security-policy')!,
    /default-src 'none'.*connect-src 'self'/,
  )
  const page = await response.text()
  for (const text of ['trainAdapter', 'runEvents', 'comparison'])
    assert.ok(page.includes(text), text)
  assert.doesNotMatch(page, /<(script|link|img)[^>]+(src|href)="?https?:/)
})
