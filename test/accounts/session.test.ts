import assert from 'node:assert/strict'
import test from 'node:test'
import { sql } from 'drizzle-orm'
import { authenticate } from '#api/accounts/authenticate.ts'
import { createApiKey, ensureFirstKey, revokeApiKey, verifyKey } from '#api/accounts/keys.ts'
import { originOf } from '#api/accounts/origin.ts'
import { createAccountRoutes, localPath } from '#api/accounts/routes.ts'
import { sessions } from '#schema/tables.ts'
import { testContext } from '#test/support/context.ts'

const ctx = await testContext()
const key = (await ensureFirstKey(ctx))!
const owner = (await verifyKey(ctx, key))!
const app = createAccountRoutes(ctx)

const submit = (
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
) =>
  app.request(`http://oddsmith.test${path}`, {
    method: 'POST',
    body: new URLSearchParams(fields),
    headers: { host: 'oddsmith.test', origin: 'http://oddsmith.test', ...headers },
  })

const cookieOf = (response: Response): string => response.headers.get('set-cookie')!.split(';')[0]!
const by = (cookie: string) =>
  authenticate(ctx, new Request('http://oddsmith.test/', { headers: { cookie } }))

test('a key is exchanged for a cookie that scripts cannot read and other sites cannot send', async () => {
  const response = await submit('/login', { key: ` ${key}\n`, next: '/runs?status=RUNNING' })
  assert.equal(response.status, 303)
  assert.equal(response.headers.get('location'), '/runs?status=RUNNING')
  const cookie = response.headers.get('set-cookie')!
  assert.match(
    cookie,
    /^oddsmith_session=[0-9a-f]{64}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Strict$/,
  )
  assert.deepEqual(await by(cookieOf(response)), { ...owner, via: 'SESSION' })
})

test('behind TLS the cookie is kept off plain HTTP', async () => {
  const response = await submit('/login', { key }, { origin: 'https://oddsmith.test' })
  assert.match(response.headers.get('set-cookie')!, /; Secure/)
})

test('the database holds no session token', async () => {
  const token = cookieOf(await submit('/login', { key })).split('=')[1]!
  assert.ok(!JSON.stringify(await ctx.db.select().from(sessions)).includes(token))
})

test('a wrong key leads back to the login, without a cookie', async () => {
  const response = await submit('/login', { key: 'ods_nonsense', next: '/runs' })
  assert.equal(response.status, 303)
  assert.equal(response.headers.get('location'), '/login?failed=1&next=%2Fruns')
  assert.equal(response.headers.get('set-cookie'), null)
})

test('logging out ends the session, also for who kept the cookie', async () => {
  const cookie = cookieOf(await submit('/login', { key }))
  const response = await submit('/logout', {}, { cookie })
  assert.match(response.headers.get('set-cookie')!, /^oddsmith_session=; Max-Age=0;/)
  assert.equal(await by(cookie), null)
})

test('revoking the key ends its sessions at once', async () => {
  const { clear, key: row } = await createApiKey(ctx, owner, { name: 'browser' })
  const cookie = cookieOf(await submit('/login', { key: clear }))
  assert.notEqual(await by(cookie), null)
  await revokeApiKey(ctx, owner, row.id)
  assert.equal(await by(cookie), null)
})

test('an expired session opens nothing', async () => {
  const cookie = cookieOf(await submit('/login', { key }))
  await ctx.db.update(sessions).set({ expiresAt: sql`now() - interval '1 second'` })
  assert.equal(await by(cookie), null)
})

test('a wrong authorization header is not saved by a right cookie', async () => {
  const cookie = cookieOf(await submit('/login', { key }))
  const request = new Request('http://oddsmith.test/', {
    headers: { cookie, authorization: 'Bearer nonsense' },
  })
  assert.equal(await authenticate(ctx, request), null)
})

test('another site can neither log a browser in nor out', async () => {
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.test' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]
  for (const headers of foreign) {
    assert.equal((await submit('/login', { key }, headers)).status, 403)
    assert.equal((await submit('/logout', {}, headers)).status, 403)
  }
})

test('a form that is too large is refused', async () => {
  assert.equal((await submit('/login', { key: 'x'.repeat(20_000) })).status, 413)
})

test('a login never leads to another site', () => {
  for (const path of [
    '//evil.test',
    '/\\evil.test',
    'https://evil.test/',
    '/\t/evil.test',
    'javascript:alert(1)',
    '',
    null,
  ]) {
    assert.equal(localPath(path), '/', String(path))
  }
  assert.equal(localPath('/graphql?query=%7Bviewer%7D'), '/graphql?query=%7Bviewer%7D')
})

test('a request of our own page is told from others and from no browser', () => {
  const of = (headers: Record<string, string>) =>
    originOf(new Request('http://127.0.0.1:4000/graphql', { method: 'POST', headers }))
  assert.equal(of({ origin: 'http://127.0.0.1:4000' }), 'SAME')
  assert.equal(of({ 'sec-fetch-site': 'same-origin' }), 'SAME')
  assert.equal(of({ origin: 'http://127.0.0.1:5000' }), 'OTHER')
  assert.equal(of({ 'sec-fetch-site': 'cross-site', origin: 'http://127.0.0.1:4000' }), 'OTHER')
  assert.equal(of({}), 'UNKNOWN')
})
