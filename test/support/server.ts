/** A whole api on a fresh database and a free port, with its context for looking behind it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import pino from 'pino'
import { readConfig, type Config } from '#api/env.ts'
import { startServer, type RunningServer, type ServerOptions } from '#api/server.ts'
import { makeDatabase } from './database.ts'

/** Closed after the file's last test. By default it starts no runs: give `concurrency` and a launcher for that. */
export async function testServer(
  overrides: Partial<Config> = {},
  options: ServerOptions = {},
): Promise<RunningServer> {
  const { database, drop } = await makeDatabase()
  const home = await mkdtemp(join(tmpdir(), 'oddsmith-home-'))
  const config: Config = {
    ...readConfig({ ODDSMITH_HOME: home, ODDSMITH_PORT: '0' }),
    databaseUrl: database.url,
    concurrency: 0,
    ...overrides,
  }
  const log = pino({ level: process.env['ODDSMITH_TEST_LOG'] ?? 'silent' })
  const server = await startServer(config, { log, ...options })
  after(async () => {
    await server.close()
    await drop()
    await rm(home, { recursive: true, force: true })
  })
  return server
}
