/** Accounts and their API keys. A key is `ods_<prefix>_<secret>`; the prefix finds the row, the secret is only kept as a hash. */
import { snakeCase, text, timestamp, uuid } from 'drizzle-orm/pg-core'

const { table } = snakeCase

export const accounts = table('accounts', {
  id: uuid().primaryKey().defaultRandom(),
  name: text().notNull().unique(),
  createdAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
})

export const apiKeys = table('api_keys', {
  id: uuid().primaryKey().defaultRandom(),
  accountId: uuid().notNull().references(() => accounts.id, { onDelete: 'cascade' }),
  name: text().notNull(),
  prefix: text().notNull().unique(),
  /** sha256 of the secret, in hex: secrets are 256 random bits, so a slow hash would add nothing. */
  secretHash: text().notNull(),
  createdAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
  lastUsedAt: timestamp({ withTimezone: true }),
  revokedAt: timestamp({ withTimezone: true }),
})
