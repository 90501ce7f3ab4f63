/** Browser sessions: a key is exchanged once for a cookie of 256 random bits, of which the database has the hash. */
import { and, eq, gt, isNull, lt, sql } from 'drizzle-orm'
import { parse, serialize } from 'hono/utils/cookie'
import { apiKeys, sessions } from '#schema/tables.ts'
import type { Context } from '../context.ts'
import { noteUse, type KeyHolder } from './keys.ts'
import { randomHex, sha256 } from './secret.ts'

const name = 'oddsmith_session'
const days = 30

/** The session token in a request's cookies. */
export function sessionToken(request: Request): string | null {
  const token = parse(request.headers.get('cookie') ?? '', name)[name]
  return token !== undefined && /^[0-9a-f]{64}$/.test(token) ? token : null
}

/** Not readable by scripts, never sent along by other sites; `secure` keeps it off plain HTTP. */
const cookie = (token: string, maxAge: number, secure: boolean): string =>
  serialize(name, token, { httpOnly: true, sameSite: 'Strict', path: '/', maxAge, secure })

/** The value of set-cookie that starts a session for this key. Expired sessions are swept on the way. */
export async function openSession(
  ctx: Pick<Context, 'db'>,
  keyId: string,
  secure: boolean,
): Promise<string> {
  const token = randomHex(32)
  await ctx.db.delete(sessions).where(lt(sessions.expiresAt, sql`now()`))
  await ctx.db.insert(sessions).values({
    keyId,
    tokenHash: sha256(token),
    expiresAt: sql`now() + make_interval(days => ${days})`,
  })
  return cookie(token, days * 24 * 3600, secure)
}

/** The holder of the session's key, or null when the session ended or its key was revoked. */
export async function readSession(
  ctx: Pick<Context, 'db'>,
  token: string,
): Promise<KeyHolder | null> {
  const [found] = await ctx.db
    .select({ accountId: apiKeys.accountId, keyId: apiKeys.id })
    .from(sessions)
    .innerJoin(apiKeys, eq(apiKeys.id, sessions.keyId))
    .where(
      and(
        eq(sessions.tokenHash, sha256(token)),
        gt(sessions.expiresAt, sql`now()`),
        isNull(apiKeys.revokedAt),
      ),
    )
  if (found === undefined) return null
  await noteUse(ctx.db, found.keyId)
  return found
}

/** Ends the session and returns the set-cookie that makes the browser forget it. */
export async function closeSession(
  ctx: Pick<Context, 'db'>,
  token: string | null,
  secure: boolean,
): Promise<string> {
  if (token !== null) await ctx.db.delete(sessions).where(eq(sessions.tokenHash, sha256(token)))
  return cookie('', 0, secure)
}
