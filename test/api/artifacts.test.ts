import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { eq } from 'drizzle-orm'
import { sha256 } from '#api/canonical.ts'
import { claim } from '#api/dispatch/claim.ts'
import { createTraining } from '#api/runs/create.ts'
import { connect, Lost, Refused } from '#gpu-runtime/client.ts'
import { artifacts } from '#schema/tables.ts'
import { makeActor, makeFiles, trainInput } from '#test/support/input.ts'
import { testServer } from '#test/support/server.ts'

const files = await makeFiles()
const limits = { bodyBytes: 1 << 20, artifactBytes: 1 << 20, queuedRuns: 100 }
const server = await testServer({ roots: [files.root], benchmarkRoots: [files.root], limits })
const { db, config } = server.context
const actor = await makeActor(db)
const folder = await mkdtemp(join(tmpdir(), 'oddsmith-artifacts-'))
after(() => rm(folder, { recursive: true, force: true }))

async function attempt() {
  const run = await createTraining(server.context, actor, trainInput(files))
  const { token } = (await claim(db, 30))!
  return { run, token, client: connect({ ODDSMITH_URL: server.url, ODDSMITH_TOKEN: token }) }
}
const put = (token: string, query: Record<string, string>, body: string) =>
  fetch(`${server.url}/runtime/artifacts?${new URLSearchParams(query)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body,
  })
const nothingLeft = async () =>
  assert.deepEqual(await readdir(join(config.home, 'artifacts', 'incoming')), [])

test('a file goes up and comes down unchanged, and the same content again is the same artifact', async () => {
  const { client, run } = await attempt()
  const job = await client.job()
  assert.deepEqual([job.runId, job.attempt, job.evaluations.length], [run.id, 1, 2])
  const path = join(folder, 'checkpoint.bin')
  await writeFile(path, Buffer.alloc(500_000, 'abc'))
  const first = await client.upload(path, { kind: 'CHECKPOINT', step: 7 })
  assert.deepEqual([first.name, first.bytes, first.step], ['checkpoint.bin', 500_000, 7])
  assert.equal(
    (
      await client.upload(await readFile(path), {
        kind: 'CHECKPOINT',
        name: 'checkpoint.bin',
        step: 7,
      })
    ).id,
    first.id,
  )
  assert.notEqual((await client.upload(path, { kind: 'CHECKPOINT', step: 8 })).id, first.id)
  await client.download(first, `${path}.back`)
  assert.deepEqual(await readFile(`${path}.back`), await readFile(path))
  await nothingLeft()
})

test('content that is not what its checksum says is refused and leaves nothing', async () => {
  const { token, run } = await attempt()
  const response = await put(
    token,
    { kind: 'ADAPTER', name: 'a.bin', sha256: sha256('other') },
    'content',
  )
  assert.equal(response.status, 400)
  assert.match(await response.text(), /expected [0-9a-f]{64}, got [0-9a-f]{64} over 7 bytes/)
  assert.equal((await db.select().from(artifacts).where(eq(artifacts.runId, run.id))).length, 0)
  await nothingLeft()
})

test('an upload that breaks off leaves nothing', async () => {
  const { token, run } = await attempt()
  const { hostname, port } = new URL(server.url)
  const query = new URLSearchParams({ kind: 'ADAPTER', name: 'a.bin', sha256: sha256('x') })
  const socket = connectSocket(Number(port), hostname)
  socket.on('error', () => {})
  const head = [
    `PUT /runtime/artifacts?${query} HTTP/1.1`,
    'host: x',
    `authorization: Bearer ${token}`,
    'content-length: 100000',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${'y'.repeat(5000)}`)
  const incoming = join(config.home, 'artifacts', 'incoming')
  while ((await readdir(incoming)).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  socket.destroy()
  while ((await readdir(incoming)).length > 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal((await db.select().from(artifacts).where(eq(artifacts.runId, run.id))).length, 0)
})

test('names that are paths, other kinds, sizes above the limit and strangers are refused', async () => {
  const { token, client } = await attempt()
  for (const name of ['../a', 'a/b', '.hidden', '', 'a\0b', 'x'.repeat(200)]) {
    assert.equal(
      (await put(token, { kind: 'ADAPTER', name, sha256: sha256('x') }, 'x')).status,
      400,
      name,
    )
  }
  assert.equal(
    (await put(token, { kind: 'MODEL', name: 'a', sha256: sha256('x') }, 'x')).status,
    400,
  )
  assert.equal(
    (await put('nobody', { kind: 'ADAPTER', name: 'a', sha256: sha256('x') }, 'x')).status,
    401,
  )
  await assert.rejects(
    client.upload(Buffer.alloc((1 << 20) + 1), { kind: 'ADAPTER', name: 'big.bin' }),
    Refused,
  )
  await nothingLeft()
})

test('a run cannot read the files of another', async () => {
  const [mine, other] = [await attempt(), await attempt()]
  const file = await mine.client.upload(Buffer.from('mine'), {
    kind: 'CHECKPOINT',
    name: 'checkpoint.bin',
    step: 1,
  })
  await assert.rejects(other.client.download(file, join(folder, 'stolen')), Refused)
  const stranger = connect({
    ODDSMITH_URL: server.url,
    ODDSMITH_TOKEN: `${mine.run.id}.1-${'A'.repeat(43)}`,
  })
  await assert.rejects(stranger.job(), Lost)
})

test('a body larger than the limit is refused, with or without a declared length', async () => {
  const { token } = await attempt()
  const authorization = `Bearer ${token}`
  const body = 'x'.repeat((1 << 20) + 1)
  assert.equal(
    (
      await fetch(`${server.url}/runtime/events`, {
        method: 'POST',
        headers: { authorization },
        body,
      })
    ).status,
    413,
  )
  const stream = new Blob([body]).stream()
  const init = {
    method: 'POST',
    headers: { authorization },
    body: stream,
    duplex: 'half',
  } as RequestInit
  const streamed = await fetch(`${server.url}/runtime/events`, init)
  assert.equal(streamed.status, 413)
})
