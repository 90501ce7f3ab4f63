/** The pages as a browser without JavaScript gets them, on a seeded Postgres. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { createAccountRoutes } from '#api/accounts/routes.ts'
import { mostPoints, readCurves } from '#api/web/curves.ts'
import { createPages } from '#api/web/routes.ts'
import { metrics } from '#schema/tables.ts'
import { testDatabase } from '#test/support/database.ts'
import { suites } from '#schema/suites.ts'
import { tasks } from '#schema/tasks.ts'
import { answers, settings } from '#test/evaluation/world.ts'
import { hostile, seed } from './seed.ts'

const { db } = await testDatabase()
const world = await seed(db)
const app = createPages({ db }).route('/', createAccountRoutes({ db }))
const unknown = '00000000-0000-4000-8000-000000000000'

const get = (
  path: string,
  headers: Record<string, string> = { authorization: `Bearer ${world.key}` },
) => app.request(path, { headers })
const page = async (path: string, headers?: Record<string, string>) =>
  (await get(path, headers)).text()
const nobody = {}

/** Says what was not found, and not the whole page. */
const has = (body: string, wanted: RegExp, where = '') =>
  assert.ok(wanted.test(body), `expected ${wanted} ${where}`)
const lacks = (body: string, wanted: RegExp, where = '') =>
  assert.ok(!wanted.test(body), `unexpected ${wanted} ${where}`)

/** What is on the page as text, without tags. */
const textOf = (markup: string) => markup.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')

test('the leaderboard is public, and links to nothing that is not', async () => {
  const response = await get('/', nobody)
  assert.equal(response.status, 200)
  const body = await response.text()
  has(textOf(body), /ARC easy \(test\) acc_norm task version 1/)
  has(body, /orpo-beta-0\.3/)
  lacks(body, /href="\/(runs|comparisons|graphql)/)
  has(
    await page('/'),
    new RegExp(`href="/comparisons/.*href="/runs/|href="/runs/${world.strong.runId}"`, 's'),
  )
})

test('scores that are not comparable are on boards of their own', async () => {
  const boards = (body: string) => body.match(/<section aria-labelledby="board-/g)!.length
  assert.equal(boards(await page('/')), 2)
  const limited = settings({ limit: 50 })
  const subject = { baseModelId: world.base.id, adapterId: null }
  await world.evaluation(world.tuned.runId, subject, new Array<1>(50).fill(1), {
    settings: limited,
  })
  const body = await page('/')
  assert.equal(boards(body), 3)
  const last = textOf(body.slice(body.lastIndexOf('<section aria-labelledby')))
  has(last, /first 50 rows .* stories-15M/)
  lacks(last, /orpo/)
  // Why there are two of them.
  has(
    textOf(body),
    /OpenBookQA \(test\): 2 boards .* differ in Board documents Board 1 4 rows all rows Board 2 1 row first 50 rows/,
  )
})

test('a board says how many examples were shown, and in which template', async () => {
  const shown = settings({
    task: 'piqa',
    fewShot: 5,
    examplesSha256: settings().rowsSha256,
    chatTemplate: true,
    fewShotAsMultiturn: true,
  })
  const subject = { baseModelId: world.base.id, adapterId: null }
  await world.evaluation(world.tuned.runId, subject, [1, 0, 1], { settings: shown })
  has(
    textOf(await page('/')),
    /5-shot, seed 1234, of [0-9a-f]{8} chat template, examples as turns scored as lm-evaluation-harness float32/,
  )
})

test('who has every task of a suite is on its board by the average', async () => {
  const subject = { baseModelId: world.base.id, adapterId: null }
  const members = suites.get('gpt4all')!.groups[0]!.members
  for (const [i, { task }] of members.entries()) {
    lacks(textOf(await page('/')), /percent; each subject scored on every task/)
    const used = settings({ task, version: tasks.get(task)!.version, limit: 10 })
    await world.evaluation(world.tuned.runId, subject, answers(10, i), { settings: used })
  }
  // 0, 10, … 60 percent.
  has(
    textOf(await page('/', nobody)),
    /GPT4All first 10 rows zero-shot plain text .* stories-15M base model 30\.00 ± /,
  )
})

test('who is not known is led to the login, and from there back', async () => {
  const paths = [
    '/runs',
    `/runs/${world.strong.runId}`,
    `/runs/${world.strong.runId}?part=live`,
    `/comparisons/${unknown}`,
  ]
  for (const path of paths) {
    const response = await get(path, nobody)
    assert.equal(response.status, 303, path)
    assert.equal(response.headers.get('location'), `/login?${new URLSearchParams({ next: path })}`)
  }
  has(
    await page(`/login?next=${encodeURIComponent('/runs?page=2')}`, nobody),
    /name="next" value="\/runs\?page=2"/,
  )
  has(
    await page(`/login?next=${encodeURIComponent('https://elsewhere.example/')}`, nobody),
    /name="next" value="\/"/,
  )
  has(await page('/login?failed=1', nobody), /role="alert"/)
})

test('a key opens a session whose cookie shows the pages, until the logout', async () => {
  const post = (path: string, body: Record<string, string>, cookie = '') =>
    app.request(path, {
      method: 'POST',
      body: new URLSearchParams(body),
      headers: { cookie, 'sec-fetch-site': 'same-origin' },
    })
  const login = await post('/login', { key: world.key, next: '/runs' })
  assert.equal(login.headers.get('location'), '/runs')
  const cookie = login.headers.get('set-cookie')!.split(';')[0]!
  assert.equal((await get('/runs', { cookie })).status, 200)
  has(await page('/', { cookie }), /Log out/)
  await post('/logout', {}, cookie)
  assert.equal((await get('/runs', { cookie })).status, 303)
})

test('a hostile run name is text on every page', async () => {
  for (const path of ['/runs', `/runs/${(await hostileRun()).id}`]) {
    const body = await page(path)
    lacks(body, /<script>alert|<img/)
    assert.ok(body.includes('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;'), path)
  }
  // Its answers are not markup either.
  const [, id] = /comparisons\/([0-9a-f-]+)/.exec(await page(`/runs/${world.strong.runId}`))!
  const body = await page(`/comparisons/${id}/flips`)
  assert.ok(body.includes('a &lt;b&gt;house&lt;/b&gt;') && !body.includes('<b>house'))
})

const hostileRun = async () => (await db.query.runs.findFirst({ where: { name: hostile } }))!

test('every page forbids inline scripts, sniffing and framing', async () => {
  for (const path of ['/', '/login', '/runs', `/runs/${world.strong.runId}`, `/runs/${unknown}`]) {
    const { headers } = await get(path)
    const policy = headers.get('content-security-policy')!
    has(policy, /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/)
    lacks(policy, /unsafe/)
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    const body = await page(path)
    lacks(body, /<[^>]*( style=| on[a-z]+=)|<script(?![^>]* src="\/assets\/)/, path)
    lacks(body, /(src|href)="(https?:)?\/\//, path)
  }
})

test('a finished run shows its comparison, curves, evaluations, spec and log', async () => {
  const text = textOf(await page(`/runs/${world.strong.runId}`))
  for (const expected of [
    /orpo-beta-0\.3 succeeded/,
    /training of stories-15M on preferences\.jsonl/,
    /took 44 min 0 s/,
    /Against its base model/,
    /48 \/ 15/,
    /rewards\/margins/,
    /held out 0\.024/,
    /4 further curves/,
    /Evaluations/,
    /8e−6, linear, 10 warmup steps/,
    /step 120: held-out loss 1\.597/,
  ])
    has(text, expected)
})

test('a running run reloads itself, a finished one does not', async () => {
  const running = await page(`/runs/${world.running.id}`)
  has(running, /<noscript><meta http-equiv="refresh"/)
  has(textOf(running), /Training: 140 of 300 steps 5,210 tokens\/s · about 10 min 15 s left/)
  has(running, /data-live data-run="[0-9a-f-]{36}" data-cursor="10"/)
  const part = await get(`/runs/${world.running.id}?part=live`)
  assert.equal(part.headers.get('x-run-ended'), 'no')
  lacks(await part.text(), /<html|<section><header><h2>What it was asked/)
  const finished = await page(`/runs/${world.strong.runId}`)
  lacks(finished, /refresh|data-live|live\.js/)
  assert.equal(
    (await get(`/runs/${world.strong.runId}?part=live`)).headers.get('x-run-ended'),
    'yes',
  )
})

test('a failed run says why', async () => {
  has(
    textOf(await page(`/runs/${world.failed.id}`)),
    /Failed: non finite step 41: rewards\/margins is not finite/,
  )
})

test('a comparison lists the questions that changed, gained and lost apart, page by page', async () => {
  const [, id] = /comparisons\/([0-9a-f-]+)/.exec(await page(`/runs/${world.strong.runId}`))!
  const samples = (body: string) => body.match(/<article class="sample">/g)?.length ?? 0
  const path = `/comparisons/${id}/flips?task=openbookqa`
  const all = await page(path)
  has(textOf(all), /All 63 Gained 48 Lost 15/)
  assert.equal(samples(all), 20)
  has(textOf(all), /Page 1 of 4 · 63 questions/)
  assert.equal(samples(await page(`${path}&page=4`)), 3)
  assert.equal(samples(await page(`${path}&page=9`)), 3)
  const lost = await page(`${path}&show=lost`)
  assert.equal(samples(lost), 15)
  lacks(lost, /<span class="tag up">gained/)
  // The likeliest answer has -9.5 nats, the second -10.25: 0.75 between them, and the order never changes in these rows.
  has(textOf(lost), /lead of the right answer \+0\.750 → \+0\.750 nats/)
  assert.equal((await get(`/comparisons/${unknown}/flips`)).status, 404)
})

test('a comparison is judged as its address asks, and says why', async () => {
  const [, id] = /comparisons\/([0-9a-f-]+)/.exec(await page(`/runs/${world.strong.runId}`))!
  const judged = textOf(await page(`/comparisons/${id}?claim=SUPERIORITY&margin=0&over=each`))
  has(judged, /Gate pass As asked here/)
  has(
    judged,
    /pass openbookqa acc_norm: difference \+0\.066, 90% interval .* n 500: superior by more than 0/,
  )
  has(
    textOf(await page(`/comparisons/${id}?claim=SUPERIORITY&margin=0.2&over=mean`)),
    /Gate fail .* suite of 2: difference/,
  )
  has(textOf(await page(`/comparisons/${id}?claim=nonsense&margin=x`)), /Gate pass/)
  lacks(textOf(await page(`/comparisons/${id}`)), /Gate (pass|fail|undecided)/)
})

test('what does not exist is a 404 for those who are known', async () => {
  for (const path of [
    `/runs/${unknown}`,
    '/runs/1',
    `/comparisons/${unknown}`,
    '/comparisons/x%27y',
  ]) {
    assert.equal((await get(path)).status, 404, path)
  }
})

test('a curve of ten thousand steps is thinned to what a chart can show, and ends where it ended', async () => {
  const run = await world.run(world.base)
  for (let from = 0; from < 10_000; from += 2_000) {
    await db.insert(metrics).values(
      Array.from({ length: 2_000 }, (_, i) => ({
        runId: run.id,
        name: 'loss',
        step: from + i + 1,
        value: from + i + 1,
      })),
    )
  }
  await db.insert(metrics).values([
    { runId: run.id, name: 'nll_loss', step: 1, value: null },
    { runId: run.id, name: 'nll_loss', step: 2, value: 3 },
  ])
  const curves = await readCurves(db, run.id)
  const loss = curves.get('loss')!
  assert.equal(loss.length, mostPoints)
  // 400 parts of 17 steps, then 200 of 16: the means of 1..17 and of 9985..10000.
  assert.deepEqual(
    [loss[0]!.step, loss[0]!.value, loss.at(-1)!.step, loss.at(-1)!.value],
    [17, 9, 10_000, 9992.5],
  )
  assert.deepEqual(curves.get('nll_loss'), [{ name: 'nll_loss', step: 2, value: 3 }])
})

test('the stylesheet and the script are served with a lasting address', async () => {
  const [href] = /\/assets\/style\.css\?[0-9a-f]+/.exec(await page('/', nobody))!
  const response = await get(href, nobody)
  assert.equal(response.headers.get('content-type'), 'text/css; charset=utf-8')
  has(response.headers.get('cache-control')!, /immutable/)
})
