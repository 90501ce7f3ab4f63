/** The connection pool, the typed client on it, and the migrations. */
import { join } from 'node:path'
import { sql, type SQL } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate as applyMigrations } from 'drizzle-orm/node-postgres/migrator'
import type { PgQueryResultHKT } from 'drizzle-orm/pg-core'
import type { PgAsyncDatabase } from 'drizzle-orm/pg-core/async'
import pg from 'pg'
import { relations } from '#schema/relations.ts'
import { repository } from './env.ts'

/** The common type of a client and of a transaction on it. */
export type Db = PgAsyncDatabase<PgQueryResultHKT, typeof relations>

export type Database = {
  readonly db: Db
  readonly pool: pg.Pool
  readonly url: string
  close(): Promise<void>
}

/** Rows of a statement written as SQL. The caller states their type; timestamps in them are text. */
export async function query<Row>(db: Db, statement: SQL): Promise<Row[]> {
  const result = (await db.execute(statement)) as { rows: Row[] }
  return result.rows
}

/** Opens a pool of at most 16 connections and checks that the server answers. */
export async function openDatabase(url: string): Promise<Database> {
  const pool = new pg.Pool({ connectionString: url, max: 16, application_name: 'oddsmith' })
  // A connection that breaks while idle is replaced at its next use; without a listener it would end the process.
  pool.on('error', () => {})
  const db: Db = drizzle({ client: pool, relations })
  try {
    await db.execute(sql`select 1`)
  } catch (cause) {
    await pool.end()
    throw new Error(`database: no connection to ${new URL(url).host}`, { cause })
  }
  return { db, pool, url, close: () => pool.end() }
}

/** "oddsmith" in ASCII, cut to what a lock key holds. */
const migrationLock = 0x6f646473

/** Brings the schema up to date. Any number of apis may start at once: one migrates, the others wait for it. */
export async function migrate(database: Database): Promise<void> {
  const client = await database.pool.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    try {
      await applyMigrations(drizzle({ client, relations }), {
        migrationsFolder: join(repository, 'migrations'),
      })
    } finally {
      await client.query('select pg_advisory_unlock($1)', [migrationLock])
    }
  } finally {
    client.release()
  }
}
