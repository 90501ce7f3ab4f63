/** Accounts and their API keys. A key is `ods_<prefix>_<secret>`; the prefix finds the row, the secret is only kept as a hash. */
import { index, snakeCase, text, timestamp, uuid } from 'drizzle-orm/pg-core'

const { table } = snakeCase

export const accounts = table('accounts', {
  id: uuid().primaryKey().defaultRandom(),
  name: text().notNull().unique(),
  createdAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
})

export const apiKeys = table('api_keys', {
  id: uuid().primaryKey().defaultRandom(),
  accountId: uuid()
    .notNull()
    .references(() => accounts.id, { onDelete: 'cascade' }),
  name: text().notNull(),
  prefix: text().notNull().unique(),
  /** sha256 of the secret, in hex: secrets are 256 random bits, so a slow hash would add nothing. */
  secretHash: text().notNull(),
  createdAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
  lastUsedAt: timestamp({ withTimezone: true }),
  revokedAt: timestamp({ withTimezone: true }),
})

/** A browser that exchanged a key for a cookie. It ends with its key, at its expiry, or when somebody logs out. */
export const sessions = table(
  'sessions',
  {
    id: uuid().primaryKey().defaultRandom(),
    keyId: uuid()
      .notNull()
      .references(() => apiKeys.id, { onDelete: 'cascade' }),
    /** sha256 of the cookie's 256 random bits, in hex. */
    tokenHash: text().notNull().unique(),
    createdAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
    expiresAt: timestamp({ withTimezone: true }).notNull(),
  },
  (t) => [index('sessions_key').on(t.keyId)],
)
