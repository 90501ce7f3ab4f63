/** Who sends a request: a script with a bearer key, a browser with a session cookie, or nobody known. */
import type { Context } from '../context.ts'
import { verifyKey, type KeyHolder } from './keys.ts'
import { readSession, sessionToken } from './session.ts'

export type Caller = KeyHolder & { readonly via: 'KEY' | 'SESSION' }

/** Whether the request claims to be somebody by its authorization header; a wrong claim deserves a refusal. */
export const claimsKey = (request: Request): boolean => request.headers.has('authorization')

/** The caller, or null. A header that is wrong is not saved by a cookie that is right. */
export async function authenticate(
  ctx: Pick<Context, 'db'>,
  request: Request,
): Promise<Caller | null> {
  const authorization = request.headers.get('authorization')
  if (authorization !== null) {
    const [, key] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
    const holder = key === undefined ? null : await verifyKey(ctx, key)
    return holder && { ...holder, via: 'KEY' }
  }
  const token = sessionToken(request)
  const holder = token === null ? null : await readSession(ctx, token)
  return holder && { ...holder, via: 'SESSION' }
}
