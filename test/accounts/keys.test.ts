import assert from 'node:assert/strict'
import test from 'node:test'
import { authenticate } from '#api/accounts/authenticate.ts'
import { createApiKey, ensureFirstKey, revokeApiKey, verifyKey } from '#api/accounts/keys.ts'
import { Conflict, Forbidden, InvalidInput, NotFound } from '#api/problem.ts'
import { accounts, apiKeys } from '#schema/tables.ts'
import { testContext } from '#test/support/context.ts'

const ctx = await testContext()
const first = await Promise.all([1, 2, 3, 4].map(() => ensureFirstKey(ctx)))
const clear = first.find((key) => key !== null)!
const owner = (await verifyKey(ctx, clear))!

test('of four apis that start at once one makes the first key, and no later start makes another', async () => {
  assert.equal(first.filter((key) => key !== null).length, 1)
  assert.equal(await ensureFirstKey(ctx), null)
})

test('the database holds no clear key', async () => {
  const rows = await ctx.db.select().from(apiKeys)
  const [, , secret] = clear.split('_')
  assert.match(clear, /^ods_[0-9a-f]{12}_[0-9a-f]{64}$/)
  assert.ok(!JSON.stringify(rows).includes(secret!))
})

test('a key with one other digit opens nothing', async () => {
  const other = clear.slice(0, -1) + (clear.endsWith('0') ? '1' : '0')
  assert.equal(await verifyKey(ctx, other), null)
  for (const wrong of [
    '',
    'ods_',
    clear.slice(0, -1),
    `${clear}0`,
    clear.toUpperCase(),
    ` ${clear}`,
  ]) {
    assert.equal(await verifyKey(ctx, wrong), null, wrong)
  }
})

test('only a well-formed bearer header opens', async () => {
  const by = (authorization: string) =>
    authenticate(ctx, new Request('http://here.test', { headers: { authorization } }))
  assert.equal((await by(`Bearer ${clear}`))?.accountId, owner.accountId)
  assert.equal((await by(`bearer ${clear}`))?.via, 'KEY')
  for (const wrong of [clear, `Basic ${clear}`, `Bearer ${clear} x`, 'Bearer'])
    assert.equal(await by(wrong), null, wrong)
})

test('a key is noted as used', async () => {
  const { key, clear: fresh } = await createApiKey(ctx, owner, { name: 'laptop' })
  assert.equal(key.lastUsedAt, null)
  await verifyKey(ctx, fresh)
  const row = await ctx.db.query.apiKeys.findFirst({ where: { id: key.id } })
  assert.ok(Math.abs(row!.lastUsedAt!.getTime() - Date.now()) < 60_000)
})

test('a revoked key opens nothing from then on, and stays revoked at its first moment', async () => {
  const { key, clear: fresh } = await createApiKey(ctx, owner, { name: 'leaked' })
  const revoked = await revokeApiKey(ctx, owner, key.id)
  assert.equal(await verifyKey(ctx, fresh), null)
  assert.deepEqual((await revokeApiKey(ctx, owner, key.id)).revokedAt, revoked.revokedAt)
})

test('a teammate gets an account with a first key, and makes the next ones himself', async () => {
  const { clear: theirs } = await createApiKey(ctx, owner, { name: 'first', account: ' mira ' })
  const mira = (await verifyKey(ctx, theirs))!
  assert.notEqual(mira.accountId, owner.accountId)
  await assert.rejects(createApiKey(ctx, owner, { name: 'x', account: 'mira' }), Forbidden)
  const { key } = await createApiKey(ctx, mira, { name: 'second', account: 'mira' })
  assert.equal(key.accountId, mira.accountId)
})

test('names that say nothing are refused by their path', async () => {
  const wrong = (input: { name: string; account?: string }) => createApiKey(ctx, owner, input)
  await assert.rejects(
    wrong({ name: '  ' }),
    (e: InvalidInput) => e.issues[0]!.path.join() === 'name',
  )
  await assert.rejects(
    wrong({ name: 'x', account: 'a'.repeat(101) }),
    (e: InvalidInput) => e.issues[0]!.path.join() === 'account',
  )
  assert.equal(
    (await ctx.db.select().from(accounts)).filter(({ name }) => name.startsWith('aaa')).length,
    0,
  )
})

test('a key that is not there is not found', () =>
  assert.rejects(revokeApiKey(ctx, owner, '00000000-0000-4000-8000-000000000000'), NotFound))

test('the last key cannot be revoked, not even by two at once', async () => {
  const fresh = await testContext()
  const only = (await verifyKey(fresh, (await ensureFirstKey(fresh))!))!
  await assert.rejects(revokeApiKey(fresh, only, only.keyId), Conflict)
  const { key } = await createApiKey(fresh, only, { name: 'second' })
  const both = await Promise.allSettled([
    revokeApiKey(fresh, only, only.keyId),
    revokeApiKey(fresh, only, key.id),
  ])
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})
