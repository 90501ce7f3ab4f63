/** API keys: `ods_<prefix>_<secret>`. The clear key is returned once, when it is made; the database has its hash only. */
import { and, eq, isNull, lt, or, sql } from 'drizzle-orm'
import { accounts, apiKeys } from '#schema/tables.ts'
import type { Actor, Context } from '../context.ts'
import type { Db } from '../database.ts'
import { Conflict, Forbidden, InvalidInput, NotFound } from '../problem.ts'
import { matches, randomHex, sha256 } from './secret.ts'

export type ApiKey = typeof apiKeys.$inferSelect

/** `clear` exists only in this value. */
export type NewKey = { readonly clear: string; readonly key: ApiKey }

/** Who asks, by which key. */
export type KeyHolder = Actor & { readonly keyId: string }

const shape = /^ods_([0-9a-f]{12})_([0-9a-f]{64})$/

/** Keys are handed out, and the last one is kept, one at a time: "keys" in ASCII. */
const keysLock = 0x6b657973

const lockKeys = (tx: Db) => tx.execute(sql`select pg_advisory_xact_lock(${keysLock})`)

async function insertKey(db: Db, accountId: string, name: string): Promise<NewKey> {
  const prefix = randomHex(6)
  const secret = randomHex(32)
  const [key] = await db
    .insert(apiKeys)
    .values({ accountId, name, prefix, secretHash: sha256(secret) })
    .returning()
  return { clear: `ods_${prefix}_${secret}`, key: key! }
}

const named = (path: string, text: string): string => {
  const name = text.trim()
  if (name === '' || name.length > 100) {
    throw new InvalidInput([
      { path: [path], message: `expected 1 to 100 characters, got ${name.length}` },
    ])
  }
  return name
}

/**
 * A new key for the actor's own account or, with `account`, the first key of a new teammate's account.
 * An account that exists already makes its keys itself: Forbidden.
 */
export async function createApiKey(
  ctx: Pick<Context, 'db'>,
  actor: Actor,
  input: { readonly name: string; readonly account?: string | null },
): Promise<NewKey> {
  const name = named('name', input.name)
  if (input.account == null) return insertKey(ctx.db, actor.accountId, name)
  const accountName = named('account', input.account)
  return ctx.db.transaction(async (tx) => {
    const [account] = await tx
      .insert(accounts)
      .values({ name: accountName })
      .onConflictDoNothing()
      .returning()
    if (account !== undefined) return insertKey(tx, account.id, name)
    const [existing] = await tx.select().from(accounts).where(eq(accounts.name, accountName))
    if (existing!.id !== actor.accountId) {
      throw new Forbidden(
        `account "${accountName}" exists; only its own keys make further keys for it`,
      )
    }
    return insertKey(tx, actor.accountId, name)
  })
}

/** The holder of a clear key, or null when there is no such key or it was revoked. Notes the use, at most once a minute. */
export async function verifyKey(
  ctx: Pick<Context, 'db'>,
  clear: string,
): Promise<KeyHolder | null> {
  const [, prefix, secret] = shape.exec(clear) ?? []
  if (prefix === undefined || secret === undefined) return null
  const [key] = await ctx.db.select().from(apiKeys).where(eq(apiKeys.prefix, prefix))
  if (key === undefined || !matches(secret, key.secretHash) || key.revokedAt !== null) return null
  await noteUse(ctx.db, key.id)
  return { accountId: key.accountId, keyId: key.id }
}

/** lastUsedAt is for people, so a minute's precision is enough and spares a write per request. */
export const noteUse = (db: Db, keyId: string) =>
  db
    .update(apiKeys)
    .set({ lastUsedAt: sql`now()` })
    .where(
      and(
        eq(apiKeys.id, keyId),
        or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, sql`now() - interval '1 minute'`)),
      ),
    )

/** Whether the key still opens anything: long answers ask again while they last. */
export async function isLive(ctx: Pick<Context, 'db'>, keyId: string): Promise<boolean> {
  const [key] = await ctx.db
    .select({ id: apiKeys.id })
    .from(apiKeys)
    .where(and(eq(apiKeys.id, keyId), isNull(apiKeys.revokedAt)))
  return key !== undefined
}

/**
 * Ends a key and every session made with it, at once. Anybody of the team may revoke any key, as with runs.
 * Revoking a revoked key changes nothing; revoking the last key is a Conflict, because nobody could ever come in again.
 */
export async function revokeApiKey(
  ctx: Pick<Context, 'db'>,
  _actor: Actor,
  id: string,
): Promise<ApiKey> {
  return ctx.db.transaction(async (tx) => {
    await lockKeys(tx)
    const live = await tx.select({ id: apiKeys.id }).from(apiKeys).where(isNull(apiKeys.revokedAt))
    if (live.length === 1 && live[0]!.id === id) {
      throw new Conflict(`key ${id} is the last one; create another before revoking it`)
    }
    const [key] = await tx
      .update(apiKeys)
      .set({ revokedAt: sql`coalesce(${apiKeys.revokedAt}, now())` })
      .where(eq(apiKeys.id, id))
      .returning()
    if (key === undefined) throw new NotFound(`no API key ${id}`)
    return key
  })
}

/** At an installation's first start: makes its first account and key and returns the clear key; null ever after. */
export async function ensureFirstKey(ctx: Pick<Context, 'db'>): Promise<string | null> {
  return ctx.db.transaction(async (tx) => {
    await lockKeys(tx)
    const [some] = await tx.select({ id: apiKeys.id }).from(apiKeys).limit(1)
    if (some !== undefined) return null
    await tx.insert(accounts).values({ name: 'owner' }).onConflictDoNothing()
    const [owner] = await tx.select().from(accounts).where(eq(accounts.name, 'owner'))
    const { clear } = await insertKey(tx, owner!.id, 'first key')
    return clear
  })
}

/** A further key of the owner's account, for whoever runs this process and so has the database anyway. */
export async function createOwnerKey(ctx: Pick<Context, 'db'>, name: string): Promise<string> {
  const [owner] = await ctx.db.select().from(accounts).where(eq(accounts.name, 'owner'))
  if (owner === undefined)
    throw new NotFound('account "owner": the first start of the api makes it')
  return (await insertKey(ctx.db, owner.id, name)).clear
}
