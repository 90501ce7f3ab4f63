/** Random secrets and their hashes: 256 random bits need no slow hash and no salt. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** `bytes` random bytes in hex. */
export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')

/** sha256 in hex. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Whether the secret has this hash, in a time that tells nothing about where they differ. */
export const matches = (secret: string, hash: string): boolean =>
  timingSafeEqual(createHash('sha256').update(secret).digest(), Buffer.from(hash, 'hex'))
