import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { lstat, mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { scanCacheDir } from '@huggingface/hub'
import { readConfig, type Hub } from '#api/env.ts'
import { snapshotPath } from '#api/hub/cache.ts'
import { commitOf, fetchFile, filesAt } from '#api/hub/client.ts'
import { filesOf, splitFile } from '#api/hub/datasets.ts'
import { pinRows } from '#api/runs/rows.ts'
import { sources } from '#schema/sources.ts'
import { inGit, large, standInHub, type StandIn } from '../support/hub.ts'

const one = 'a'.repeat(40)
const two = 'b'.repeat(40)
const token = 'hf_secret'
const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251))
const repository = { type: 'dataset', id: 'org/rows' } as const
const maxBytes = 2 ** 20

async function world(t: TestContext): Promise<{ hub: Hub; server: StandIn }> {
  const arc = sources.get('arc_easy/test')!.hub!.revision!
  const server = await standInHub({
    'org/rows': {
      refs: { main: two, 'refs/convert/parquet': one },
      commits: {
        [one]: { 'default/test/0000.parquet': large(bytes) },
        [two]: {
          'README.md': inGit('# rows\n'),
          'data/test-00000-of-00001.parquet': large(bytes),
          'data/train-00000-of-00002.parquet': large('x'),
          'data/train-00001-of-00002.parquet': large('y'),
          'nested/a b.jsonl': inGit('{"a":1}\n'),
        },
      },
    },
    'org/scripted': {
      refs: { main: one, 'refs/convert/parquet': two },
      commits: {
        [one]: { 'scripted.py': inGit('print()') },
        [two]: { 'plain_text/test/0000.parquet': large(bytes) },
      },
    },
    'org/private': { refs: { main: one }, commits: { [one]: { a: large('a') } }, token },
    'org/gated': { refs: { main: one }, commits: {}, gated: true },
    'allenai/ai2_arc': {
      refs: {},
      commits: {
        [arc]: {
          'ARC-Easy/test-00000-of-00001.parquet': large(bytes),
          'ARC-Challenge/test-00000-of-00001.parquet': large('other'),
        },
      },
    },
  })
  const cache = await mkdtemp(join(tmpdir(), 'oddsmith-hub-'))
  t.after(async () => {
    await server.close()
    await rm(cache, { recursive: true, force: true })
  })
  return { hub: { endpoint: server.endpoint, token: null, cache }, server }
}

const test1 = { commit: two, path: 'data/test-00000-of-00001.parquet', maxBytes }
const said = (message: RegExp) => ({ name: 'HubError', message })

test('files are stored as huggingface_hub stores them, and downloaded once', async (t) => {
  const { hub, server } = await world(t)
  assert.equal(await commitOf(hub, repository, 'main'), two)
  const path = await fetchFile(hub, repository, test1)
  assert.equal(path, join(hub.cache, 'datasets--org--rows/snapshots', two, test1.path))
  assert.deepEqual(await readFile(path), bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  assert.equal(await readlink(path), `../../../blobs/${sha256}`)
  const small = await fetchFile(hub, repository, { ...test1, path: 'nested/a b.jsonl' })
  assert.equal(await readlink(small), '../../../blobs/0187f3b09d66cef7911083ad49f890f5a6589589') // git hash-object
  assert.equal(await readFile(join(hub.cache, 'datasets--org--rows/refs/main'), 'utf8'), two)

  await fetchFile(hub, repository, { ...test1, path: 'README.md' })
  const { repos, warnings } = await scanCacheDir(hub.cache)
  assert.deepEqual(warnings, [])
  assert.equal(repos[0]!.id.name, 'org/rows')
  assert.deepEqual(repos[0]!.revisions[0]!.refs, ['main'])
  assert.equal(repos[0]!.revisions[0]!.files.length, 1) // it does not look into folders

  await server.close()
  assert.equal(await fetchFile(hub, repository, test1), path)
})

test('all pages of a tree are read', async (t) => {
  const { hub, server } = await world(t)
  server.pageSize = 2
  assert.equal((await filesAt(hub, repository, two)).length, 5)
  assert.equal(server.asked.length, 3)
})

test('the token goes to the Hub, and not to where it redirects', async (t) => {
  const { hub, server } = await world(t)
  const wanted = { ...test1, commit: one, path: 'a' }
  const secret = { type: 'dataset', id: 'org/private' } as const
  await assert.rejects(
    fetchFile(hub, secret, wanted),
    said(/dataset org\/private: the answer is 401: .* HF_TOKEN/),
  )
  await fetchFile({ ...hub, token }, secret, wanted)
  const asked = server.asked.slice(1)
  assert.ok(asked.some(({ server: at }) => at === 'cdn'))
  for (const { server: at, authorization } of asked)
    assert.equal(authorization, at === 'hub' ? `Bearer ${token}` : undefined)
})

test('a connection that breaks in the middle of a file goes on where it was', async (t) => {
  const { hub, server } = await world(t)
  server.mishaps.push({ dropFileAfter: 100_000 }, { dropFileAfter: 50_000 })
  assert.deepEqual(await readFile(await fetchFile(hub, repository, test1)), bytes)
  const ranges = server.asked.filter(({ server: at }) => at === 'cdn').map(({ range }) => range)
  assert.equal(ranges.length, 3)
  assert.equal(ranges[0], 'bytes=0-')
  assert.match(ranges[2]!, /^bytes=[1-9]\d{4,5}-$/)
})

test('a server without ranges sends the file again from the beginning', async (t) => {
  const { hub, server } = await world(t)
  server.withoutRanges = true
  server.mishaps.push({ dropFileAfter: 100_000 })
  assert.deepEqual(await readFile(await fetchFile(hub, repository, test1)), bytes)
})

test('a file that is not what the Hub named, too long, or breaks for good is not kept', async (t) => {
  const { hub, server } = await world(t)
  const empty = async () =>
    assert.deepEqual(
      await readdir(join(hub.cache, 'datasets--org--rows/blobs')).catch(() => []),
      [],
    )
  await assert.rejects(
    fetchFile(hub, repository, { ...test1, maxBytes: 1000 }),
    said(/300000 bytes, expected at most 1000/),
  )
  server.mishaps.push({ corrupt: true })
  await assert.rejects(
    fetchFile(hub, repository, test1),
    said(/expected content with hash [0-9a-f]{64}, got [0-9a-f]{64}/),
  )
  await empty()
  server.mishaps.push(...Array.from({ length: 4 }, () => ({ dropFileAfter: 0 })))
  await assert.rejects(
    fetchFile(hub, repository, test1),
    said(/the connection broke 4 times after 0 of 300000 bytes/),
  )
  await empty()
})

test('what is busy is asked again, as long as it asks for; what stays so is told', async (t) => {
  const { hub, server } = await world(t)
  server.mishaps.push({ status: 429, retryAfter: 0 }, { status: 503, retryAfter: 0 })
  assert.equal(await commitOf(hub, repository, 'main'), two)
  assert.equal(server.asked.length, 3)
  server.mishaps.push(...Array.from({ length: 4 }, () => ({ status: 429, retryAfter: 0 })))
  await assert.rejects(commitOf(hub, repository, 'main'), said(/the answer is 429 again and again/))
})

test('repositories, revisions and files that are not there, closed or unreachable are told apart', async (t) => {
  const { hub, server } = await world(t)
  const at = (id: string) => ({ type: 'dataset', id }) as const
  await assert.rejects(
    commitOf(hub, at('org/none'), 'main'),
    said(/dataset org\/none: the answer is 401: it does not exist/),
  )
  await assert.rejects(
    commitOf(hub, at('org/gated'), 'main'),
    said(/the answer is 403: its terms must be accepted/),
  )
  await assert.rejects(
    commitOf(hub, repository, 'v9'),
    said(/the answer is 404: there is no such repository or revision/),
  )
  await assert.rejects(
    fetchFile(hub, repository, { ...test1, path: 'none' }),
    said(/there is no such file at b{40}/),
  )
  await server.close()
  await assert.rejects(
    commitOf(hub, repository, 'main'),
    said(/org\/rows: fetch failed: connect ECONNREFUSED/),
  )
})

test('no name leads out of the cache', async (t) => {
  const { hub } = await world(t)
  for (const path of [
    '../x',
    'a/../../x',
    '/etc/passwd',
    'a//b',
    './a',
    'C:/x',
    'a\\..\\x',
    '',
    'a\0',
  ])
    await assert.rejects(
      fetchFile(hub, repository, { ...test1, path }),
      said(/expected a path inside a repository/),
    )
  for (const id of ['../org', 'org/..', 'a/b/c', '', 'org/ro ws', 'org/rows?x'])
    await assert.rejects(
      commitOf(hub, { type: 'dataset', id }, 'main'),
      said(/expected a repository such as/),
    )
  assert.throws(() => snapshotPath('/cache', repository, 'main', 'a'), { name: 'UnsafeName' })
  assert.throws(() => snapshotPath('/cache', { type: 'dataset', id: '..' }, one, 'a'), {
    name: 'UnsafeName',
  })
})

// ─ splits

test('a split is found by the layouts that datasets have', () => {
  const of = (files: string[], config: string | null, split: string) =>
    filesOf(files, { config, split }, false)
  const mmlu = [
    'README.md',
    'dataset_infos.json',
    'anatomy/dev-00000-of-00001.parquet',
    'anatomy/test-00000-of-00001.parquet',
    'all/test-00000-of-00001.parquet',
  ]
  assert.deepEqual(of(mmlu, 'anatomy', 'test'), ['anatomy/test-00000-of-00001.parquet'])
  assert.deepEqual(of(mmlu, 'anatomy', 'validation'), [])
  const agieval = [
    'README.md',
    'data/test-00000-of-00001-1a2b3c.parquet',
    'data/test2-00000-of-00001.parquet',
  ]
  assert.deepEqual(of(agieval, null, 'test'), ['data/test-00000-of-00001-1a2b3c.parquet'])
  assert.deepEqual(of(['ifeval_input_data.jsonl', '.gitattributes'], null, 'train'), [
    'ifeval_input_data.jsonl',
  ])
  assert.deepEqual(of(['ifeval_input_data.jsonl'], null, 'test'), [])
  assert.deepEqual(of(['data/test-00000-of-00001.parquet'], null, 'train'), [])
  assert.deepEqual(of(['data/test.parquet'], null, 't.*'), []) // a name, not a pattern
  assert.deepEqual(of(['default/test/0000.parquet', 'de/test/0000.parquet'], 'default', 'test'), [
    'default/test/0000.parquet',
  ])
  assert.deepEqual(of(['test.jsonl', 'test.csv', 'test.parquet'], null, 'test'), ['test.parquet'])
})

test('a split comes from the pinned commit, else from the Hub’s own conversion, and later from the cache alone', async (t) => {
  const { hub, server } = await world(t)
  const dataset = { id: 'org/rows', config: null, split: 'test', revision: two }
  const path = await splitFile(hub, dataset, maxBytes)
  assert.match(path, /snapshots\/b{40}\/data\/test-00000-of-00001.parquet$/)
  // without a revision: pinned to what main was at first
  const unpinned = { ...dataset, revision: null }
  assert.equal(await splitFile(hub, unpinned, maxBytes), path)
  server.repositories['org/rows']!.refs['main'] = one
  assert.equal(await splitFile(hub, unpinned, maxBytes), path)
  const scripted = { id: 'org/scripted', config: null, split: 'test', revision: one }
  const other = await splitFile(hub, scripted, maxBytes)
  assert.match(other, /snapshots\/b{40}\/plain_text\/test\/0000.parquet$/)
  await assert.rejects(
    splitFile(hub, { ...dataset, split: 'train' }, maxBytes),
    said(/split train of dataset org\/rows is in 2 files, expected one/),
  )
  await assert.rejects(
    splitFile(hub, { ...dataset, split: 'dev' }, maxBytes),
    said(
      /no Parquet, JSONL, JSON or CSV of it at b{40} \(b{40}\) or refs\/convert\/parquet \(a{40}\)/,
    ),
  )
  await server.close()
  assert.equal(await splitFile(hub, dataset, maxBytes), path)
  assert.equal(await splitFile(hub, unpinned, maxBytes), path)
})

test('a task’s rows that no folder has come from the Hub, where that is on', async (t) => {
  const { hub, server } = await world(t)
  const home = await mkdtemp(join(tmpdir(), 'oddsmith-home-'))
  t.after(() => rm(home, { recursive: true, force: true }))
  const config = { ...readConfig({ ODDSMITH_HOME: home }), benchmarkRoots: [home] }
  const name = 'arc_easy.test.jsonl'
  await assert.rejects(pinRows({ ...config, hub: null }, name, ['rows']), {
    name: 'InvalidInput',
    message:
      /rows: expected arc_easy.test.jsonl in .*; give its path as rows, or set ODDSMITH_BENCHMARKS, or ODDSMITH_HUB=on to fetch allenai\/ai2_arc/,
  })
  const pinned = await pinRows({ ...config, hub }, name, ['rows'])
  assert.match(pinned.path, /ARC-Easy\/test-00000-of-00001.parquet$/)
  assert.equal(pinned.bytes, bytes.length)
  assert.ok((await lstat(pinned.path)).isSymbolicLink())
  // under another of its names in a folder, and without the Hub
  await writeFile(join(home, 'arc_easy.test.parquet'), 'PAR1')
  assert.equal(
    (await pinRows({ ...config, hub }, name, ['rows'])).path,
    join(home, 'arc_easy.test.parquet'),
  )
  await server.close()
  await assert.rejects(pinRows({ ...config, hub }, 'openbookqa.test.jsonl', ['rows']), {
    name: 'InvalidInput',
    message: /expected openbookqa.test.jsonl in .*, or from the Hub: .*openbookqa: fetch failed/,
  })
})

test('the Hub is off unless asked for, and its cache is where Python looks for it', () => {
  const hub = (env: NodeJS.ProcessEnv) => readConfig(env).hub
  assert.equal(hub({}), null)
  assert.equal(hub({ HF_TOKEN: token, ODDSMITH_HUB: 'off' }), null)
  assert.equal(hub({ ODDSMITH_HUB: 'on' })!.endpoint, 'https://huggingface.co')
  assert.deepEqual(hub({ HF_ENDPOINT: 'http://mirror/', HF_HOME: '/hf', HF_TOKEN: token }), {
    endpoint: 'http://mirror',
    token,
    cache: '/hf/hub',
  })
  assert.equal(hub({ ODDSMITH_HUB: 'on', XDG_CACHE_HOME: '/c' })!.cache, '/c/huggingface/hub')
  assert.throws(
    () => hub({ HF_TOKEN: 'secret' }),
    (error: Error) => /HF_TOKEN: expected/.test(error.message) && !error.message.includes('secret'),
  )
})
