import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { sql } from 'drizzle-orm'
import { migrate, query } from '#api/database.ts'
import { repository } from '#api/env.ts'
import { testDatabase } from '#test/support/database.ts'

const database = await testDatabase()

test('migrations applied again, by three apis at once, change nothing', async () => {
  const count = () =>
    query<{ n: number }>(
      database.db,
      sql`select count(*)::int as n from drizzle.__drizzle_migrations`,
    )
  const before = await count()
  await Promise.all([migrate(database), migrate(database), migrate(database)])
  assert.deepEqual(await count(), before)
})

test('the migrations make exactly the tables of the schema', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'oddsmith-migrations-'))
  await cp(join(repository, 'migrations'), folder, { recursive: true })
  const before = await readdir(folder)
  const kit = join(repository, 'node_modules', 'drizzle-kit', 'bin.cjs')
  const args = [
    'generate',
    '--dialect',
    'postgresql',
    '--schema',
    './schema/tables.ts',
    '--out',
    folder,
  ]
  const output = execFileSync(process.execPath, [kit, ...args], {
    cwd: repository,
    encoding: 'utf8',
  })
  assert.match(output, /No schema changes/)
  assert.deepEqual(await readdir(folder), before)
  await rm(folder, { recursive: true })
})
