/** The command `oddsmith` as a process, against an api that starts real runtimes on the embedded model. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { eq } from 'drizzle-orm'
import { parquetReadObjects } from 'hyparquet'
import { repository } from '#api/env.ts'
import { embedded } from '#demo/embedded.ts'
import type { TrainSpec } from '#schema/spec.ts'
import { runs } from '#schema/tables.ts'
import { createWorld } from '#test/evaluation/world.ts'
import { install, uuid } from '../endToEnd/installation.ts'

const there = await install()
const folder = join(there.inputs, 'brought')
await cp(join(repository, 'test/golden/imported'), folder, { recursive: true })

type Said = { readonly code: number; readonly out: string; readonly err: string }

const oddsmith = (args: readonly string[], env: Record<string, string> = {}): Promise<Said> =>
  new Promise((resolve) => {
    const known = { ODDSMITH_URL: there.server.url, ODDSMITH_KEY: there.server.firstKey! }
    execFile(
      process.execPath,
      [join(repository, 'cli/oddsmith.mjs'), ...args],
      { env: { PATH: process.env['PATH'] ?? '', ...known, ...env }, maxBuffer: 1 << 26 },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    )
  })

async function json<T = any>(...args: string[]): Promise<T> {
  const { code, out, err } = await oddsmith([...args, '--json'])
  assert.equal(code, 0, err)
  return JSON.parse(out) as T
}

const adapter = await json('import', folder, '--model', embedded.model, '--name', 'brought')
const common = ['--task', 'who_is_bigger', '--limit', '60', '--wait']
const base = await json('eval', '--model', embedded.model, ...common)
const tuned = await oddsmith(['eval', '--adapter', 'brought', ...common])

test('eval --wait shows progress on stderr and scores on stdout', () => {
  assert.equal(base.status, 'SUCCEEDED')
  assert.deepEqual(
    base.scores.map(({ task, metric, n }: any) => [task, metric, n]),
    [
      ['who_is_bigger', 'acc', 60],
      ['who_is_bigger', 'acc_norm', 60],
    ],
  )
  assert.equal(tuned.code, 0, tuned.err)
  assert.match(tuned.err, /^Run:\S+ {2}brought: who_is_bigger\n/)
  assert.match(tuned.err, /evaluate .*60\/60.*\nSUCCEEDED/s)
  assert.match(
    tuned.out,
    /^task +metric +value +stderr +n\n.*\nwho_is_bigger +acc +0\.\d{4} +± 0\.\d{4} +60\n/,
  )
})

test('eval of what was scored before prints the scores that it took over', async () => {
  const again = await json('eval', '--model', embedded.model, ...common)
  assert.notEqual(again.id, base.id)
  assert.deepEqual(again.scores, base.scores)
})

test('the same key is the same run; watch shows how it ended', async () => {
  const args = [
    'eval',
    '--model',
    embedded.model,
    '--task',
    'who_is_bigger',
    '--limit',
    '60',
    '--key',
    'k',
  ]
  const [first, second] = [await json(...args), await json(...args)]
  assert.equal(first.id, second.id)
  const watched = await oddsmith(['watch', first.id])
  assert.equal(watched.code, 0, watched.err)
  assert.match(watched.out, /SUCCEEDED\n$/)
})

test('compare finds subjects by name or id', async () => {
  const sides = ['--baseline', 'zoo-334k', '--candidate', adapter.id]
  const found = await json('compare', ...sides)
  const acc = found.tasks.find(({ metric }: any) => metric === 'acc')
  assert.equal(acc.n, 60)
  assert.equal(acc.difference.toFixed(9), (acc.candidate - acc.baseline).toFixed(9))
  const shown = await oddsmith(['compare', found.id])
  assert.match(shown.out, /who_is_bigger +acc +\d/)
  const unknown = await oddsmith(['compare', '--baseline', 'nobody', '--candidate', adapter.id])
  assert.equal(unknown.code, 65)
  assert.match(unknown.err, /expected the id or the name of an adapter or a model, got "nobody"/)
})

test('gate exits with 0 for PASS, 1 for FAIL and 2 for UNDECIDED, and says why', async () => {
  const { id, tasks } = await json('compare', '--baseline', 'zoo-334k', '--candidate', 'brought')
  const { difference } = tasks.find(({ metric }: any) => metric === 'acc')
  const acc = ['--task', 'who_is_bigger', '--metric', 'acc']
  const passed = await oddsmith(['gate', id, '--not-inferior', '0.999', ...acc])
  assert.equal(passed.code, 0, passed.err)
  assert.match(passed.out, /PASS who_is_bigger acc: .*not inferior.*\n\nPASS\n$/s)
  const failed = await oddsmith(['gate', id, '--superior', '0.999', ...acc])
  assert.equal(failed.code, 1, failed.err)
  const file = join(there.inputs, 'rules.yaml')
  const margin = Math.abs(difference)
  const kind = difference < 0 ? 'NON_INFERIORITY' : 'SUPERIORITY'
  await writeFile(
    file,
    `rules:\n  - { kind: ${kind}, margin: ${margin}, task: who_is_bigger, metric: acc }\nadjust: HOLM\n`,
  )
  const open = await oddsmith(['gate', id, '--rules', file, '--json'])
  assert.equal(open.code, 2, open.err)
  assert.equal(JSON.parse(open.out).verdict, 'UNDECIDED')
  const wrong = await oddsmith(['gate', id, '--superior', '0', '--task', 'arc_easy'])
  assert.equal(wrong.code, 65)
  assert.match(wrong.err, /expected a task of the comparison \(who_is_bigger\)/)
})

test('eval with a gate scores the base too, and ends with the verdict', async () => {
  const file = join(there.inputs, 'gate.json')
  const rules = [{ kind: 'NON_INFERIORITY', margin: 0.999, task: 'who_is_bigger' }]
  await writeFile(file, JSON.stringify({ rules }))
  const asked = [
    'eval',
    '--adapter',
    'brought',
    '--task',
    'who_is_bigger',
    '--limit',
    '30',
    '--wait',
  ]
  const passed = await oddsmith([...asked, '--gate', file])
  assert.equal(passed.code, 0, passed.err)
  assert.match(passed.out, /^task .*\nrule .*\nPASS\n$/s)
  await writeFile(file, JSON.stringify({ rules: [{ ...rules[0], kind: 'SUPERIORITY' }] }))
  const failed = await oddsmith([...asked, '--gate', file, '--json'])
  assert.equal(failed.code, 1, failed.err)
  assert.equal(JSON.parse(failed.out).gate.verdict, 'FAIL')
})

test('eval --wait of shards ends when all of them have', async () => {
  const args = ['--task', 'who_is_bigger', '--limit', '41', '--shards', '2', '--wait']
  const { scores } = await json('eval', '--model', embedded.model, ...args)
  assert.ok(scores.length === 2 && scores.every(({ n }: any) => n === 41), JSON.stringify(scores))
})

test('rules that mean nothing are refused before anybody is asked', async () => {
  const file = join(there.inputs, 'wrong.json')
  const late = {
    sequential: true,
    rules: [{ kind: 'SUPERIORITY', margin: 0, task: 'who_is_bigger' }],
  }
  await writeFile(file, JSON.stringify(late))
  assert.match(
    (await oddsmith(['gate', 'x', '--rules', file])).err,
    /sequential with eval --gate only/,
  )
  await writeFile(file, '{"rules": [{"kind": "BETTER", "margin": -1}]}')
  const { code, err } = await oddsmith(['gate', 'x', '--rules', file])
  assert.equal(code, 64)
  assert.match(err, /rules\.0\.kind: .*SUPERIORITY.*\n.*rules\.0\.margin/)
  assert.equal((await oddsmith(['gate', 'x'])).code, 64)
})

test('export writes samples whole, in each format, and results', async () => {
  const { run } = await there.client.query<any>(
    'query ($id: ID!) { run(id: $id) { evaluations { id } } }',
    { id: base.id },
  )
  const evaluation = run.evaluations[0].id
  const lines = await oddsmith(['export', 'samples', evaluation])
  assert.equal(lines.out.trimEnd().split('\n').length, 60)
  const file = join(there.inputs, 'samples.parquet')
  const written = await json('export', 'samples', evaluation, '--format', 'parquet', '-o', file)
  const bytes = await readFile(file)
  assert.equal(written.bytes, bytes.byteLength)
  const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer })
  assert.deepEqual(
    rows.map(({ document }) => document),
    Array.from({ length: 60 }, (_, i) => i),
  )
  assert.ok(!(await readdir(there.inputs)).some((name) => name.endsWith('.part')))
  const results = JSON.parse((await oddsmith(['export', 'results', base.id])).out)
  assert.equal(
    results.results.who_is_bigger['acc,none'],
    base.scores.find(({ metric }: any) => metric === 'acc').value,
  )
})

test('summary prints the Markdown of the suites, and refuses a run without', async () => {
  const world = await createWorld(there.server.context.db)
  const { id, spec } = await world.run(await world.model('zoo'))
  await there.server.context.db
    .update(runs)
    .set({ spec: { ...(spec as TrainSpec), suites: ['agieval'] } })
    .where(eq(runs.id, id))
  const { code, out } = await oddsmith(['summary', id])
  assert.equal(code, 0)
  assert.match(out, /^\| Model +\| AGIEval \|\n/)
  assert.equal((await oddsmith(['summary', uuid(base.id)])).code, 65)
})

test('what goes wrong has a code of its own and says what was expected', async () => {
  const expectExit = async (code: number, wanted: RegExp, args: string[], env = {}) => {
    const said = await oddsmith(args, env)
    assert.equal(said.code, code, said.err)
    assert.match(said.err, wanted)
    assert.equal(said.out, '')
  }
  const asked = ['eval', '--model', embedded.model, '--task', 'who_is_bigger']
  await expectExit(64, /unknown option '--limt'/, [...asked, '--limt', '3'])
  await expectExit(64, /expected a whole number from 1, got "none"/, [...asked, '--limit', 'none'])
  await expectExit(64, /expected --model or --adapter/, ['eval', '--task', 'who_is_bigger'])
  await expectExit(64, /ODDSMITH_URL: expected an address/, asked, { ODDSMITH_URL: 'here' })
  await expectExit(65, /tasks\.0\.task: expected one of/, [
    'eval',
    '--model',
    embedded.model,
    '--task',
    'x',
  ])
  await expectExit(65, /there is no run x/, ['watch', 'x'])
  await expectExit(69, /cannot reach the api/, asked, { ODDSMITH_URL: 'http://127.0.0.1:9' })
  await expectExit(77, /ODDSMITH_KEY: expected an API key/, asked, { ODDSMITH_KEY: '' })
  await expectExit(77, /with a key that exists/, asked, { ODDSMITH_KEY: 'ods_aaaa_bbbb' })
  const refused = await oddsmith(['watch', 'x', '--json'])
  assert.equal(JSON.parse(refused.err).error.exit, 'REFUSED')
})
