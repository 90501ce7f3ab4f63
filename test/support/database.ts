/** A fresh, migrated database for a test file. */
import { randomBytes } from 'node:crypto'
import { after } from 'node:test'
import { openDatabase, type Database } from '#api/database.ts'
import { execute, startTestServer, withDatabase } from './postgres.ts'

/** Dropped after the file's last test. */
export async function testDatabase(): Promise<Database> {
  const { database, drop } = await makeDatabase()
  after(drop)
  return database
}

/**
 * For those who close more than the database, and must close it last: hooks of `after` run in the order in which they were made.
 * Without the global setup (one file run by itself) a server is started for it.
 */
export async function makeDatabase(): Promise<{
  readonly database: Database
  readonly drop: () => Promise<void>
}> {
  const own = process.env['ODDSMITH_TEST_TEMPLATE'] ? null : await startTestServer()
  const template = own?.template ?? process.env['ODDSMITH_TEST_TEMPLATE']!
  const name = `oddsmith_test_${randomBytes(6).toString('hex')}`
  const server = withDatabase(template, 'postgres')
  await execute(server, `create database ${name} template ${new URL(template).pathname.slice(1)}`)
  const database = await openDatabase(withDatabase(template, name))
  const drop = async () => {
    await database.close()
    await execute(server, `drop database ${name} with (force)`)
    await own?.stop()
  }
  return { database, drop }
}
