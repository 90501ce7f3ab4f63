/** The server that tests use: DATABASE_URL's, or an embedded one of this test run in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrate, openDatabase } from '#api/database.ts'
import { startPostgres } from '#api/postgres.ts'

export type TestServer = { readonly template: string; stop(): Promise<void> }

/** Starts the server and makes a migrated database on it, from which each test file's own is copied. */
export async function startTestServer(): Promise<TestServer> {
  const given = process.env['DATABASE_URL']
  const home = given ? null : await mkdtemp(join(tmpdir(), 'oddsmith-test-'))
  // Nothing here outlives the run, so nothing needs to reach the disk.
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
  const server = home === null ? null : await startPostgres(home, { settings })
  const base = given || server!.url
  const name = `oddsmith_template_${process.pid}`
  await execute(base, `drop database if exists ${name}`, `create database ${name}`)
  const template = withDatabase(base, name)
  const database = await openDatabase(template)
  await migrate(database)
  await database.close()
  return {
    template,
    async stop() {
      if (server === null) await execute(base, `drop database ${name}`)
      await server?.stop()
      if (home !== null) await rm(home, { recursive: true, force: true })
    },
  }
}

export async function execute(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
