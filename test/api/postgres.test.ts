import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { execute } from '#test/support/postgres.ts'
import { isAlive } from '#api/processes.ts'

const home = await mkdtemp(join(tmpdir(), 'oddsmith-postgres-'))
const program = join(import.meta.dirname, '..', 'support', 'holdPostgres.ts')
const living = new Set<ChildProcess>()
after(async () => {
  for (const child of living) child.kill('SIGKILL')
  const left = await postmaster().catch(() => 0)
  if (left > 0 && isAlive(left, 'postgres')) process.kill(left, 'SIGQUIT')
  await rm(home, { recursive: true, force: true })
})

/** A process with the home's server, as an api would be. */
async function hold(code = 0) {
  const child = spawn(process.execPath, [program, home, String(code)], { stdio: 'pipe' })
  living.add(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text: Buffer) => (output.stdout += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output.stderr += text.toString()))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  while (!output.stdout.includes('\n') && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20))
  const end = () => (child.stdin.end(), ended)
  const kill = () => (child.kill('SIGKILL'), ended)
  return { url: output.stdout.trim(), output, ended, end, kill }
}
const postmaster = async () =>
  Number((await readFile(join(home, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0])

test('the first start makes a server that keeps its data, speaks to nobody else, and leaves our exit code alone', async () => {
  const first = await hold(3)
  assert.deepEqual([new URL(first.url).hostname, first.output.stderr], ['127.0.0.1', ''])
  assert.equal((await stat(join(home, 'postgres', 'password'))).mode & 0o777, 0o600)
  assert.equal((await stat(join(home, 'postgres'))).mode & 0o777, 0o700)
  const wrong = new URL(first.url)
  wrong.password = 'guess'
  await assert.rejects(execute(wrong.href, 'select 1'), /password authentication failed/)
  await execute(first.url, 'create table kept (x int)')
  const pid = await postmaster()
  assert.equal(await first.end(), 3)
  assert.ok(!isAlive(pid))
})

test('a second api on the same home is refused, and the first goes on', async () => {
  const first = await hold()
  const second = await hold()
  assert.match(second.output.stderr, /is in use by another Oddsmith that is running/)
  await execute(first.url, 'select * from kept')
  assert.equal(await first.end(), 0)
})

test('after kill -9 of the api its server is adopted; after kill -9 of both the stale pid file is no hindrance', async () => {
  const first = await hold()
  const pid = await postmaster()
  await first.kill()
  const second = await hold()
  assert.deepEqual([await postmaster(), second.url], [pid, first.url])
  await execute(second.url, 'insert into kept values (1)')
  await second.kill()
  process.kill(pid, 'SIGKILL')
  const third = await hold()
  assert.notEqual(await postmaster(), pid)
  await execute(third.url, 'insert into kept select x + 1 from kept')
  assert.equal(await third.end(), 0)
})

test('two apis that start at once on one home: one has it, the other is refused', async () => {
  const both = await Promise.all([hold(), hold()])
  const [winners, losers] = [
    both.filter(({ url }) => url !== ''),
    both.filter(({ url }) => url === ''),
  ]
  assert.deepEqual([winners.length, losers.length], [1, 1])
  assert.match(losers[0]!.output.stderr, /is in use by another Oddsmith/)
  assert.equal(await winners[0]!.end(), 0)
})
