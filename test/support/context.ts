/** A context on a fresh database and a temporary home, for tests that call verbs directly. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import pino from 'pino'
import { openBell } from '#api/bell.ts'
import type { Context } from '#api/context.ts'
import type { Database } from '#api/database.ts'
import { readConfig, type Config } from '#api/env.ts'
import { makeDatabase } from './database.ts'

export type TestContext = Context & { readonly database: Database }

/** Released after the file's last test. `overrides` replace single values of the configuration. */
export async function testContext(overrides: Partial<Config> = {}): Promise<TestContext> {
  const { database, drop } = await makeDatabase()
  const home = await mkdtemp(join(tmpdir(), 'oddsmith-home-'))
  const bell = await openBell(database.url)
  const config: Config = {
    ...readConfig({ ODDSMITH_HOME: home }),
    databaseUrl: database.url,
    port: 0,
    ...overrides,
  }
  after(async () => {
    await bell.close()
    await drop()
    await rm(home, { recursive: true, force: true })
  })
  const log = pino({ level: process.env['ODDSMITH_TEST_LOG'] ?? 'silent' })
  return { config, db: database.db, pool: database.pool, log, bell, database }
}
