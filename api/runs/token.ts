/** Attempt tokens: `<run id>.<attempt>-<secret>`. The clear token exists only in the launched attempt's environment. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** A clear token taken apart; whether it is the run's current one is for `holdAttempt` to say. */
export type Token = { readonly runId: string; readonly attempt: number; readonly hash: string }

const shape =
  /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.(\d{1,6})-[\w-]{43}$/

/** What is stored: sha256 in hex. The secret is random, so neither salt nor a slow hash would add anything. */
export const hashToken = (clear: string): string => createHash('sha256').update(clear).digest('hex')

/** A clear token with a fresh secret of 256 bits. */
export const makeToken = (runId: string, attempt: number): string =>
  `${runId}.${attempt}-${randomBytes(32).toString('base64url')}`

/** Null for anything that never was a token. */
export function parseToken(clear: string): Token | null {
  const match = shape.exec(clear)
  return match === null
    ? null
    : { runId: match[1]!, attempt: Number(match[2]), hash: hashToken(clear) }
}

/** In constant time: how much of a hash agrees is nobody's business. */
export function sameHash(a: string | null, b: string): boolean {
  return a !== null && a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
