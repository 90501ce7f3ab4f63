/** The pages in a real browser, against a whole server. Skipped where there is no Chromium. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { append } from '#api/runs/events.ts'
import { advance } from '#api/runs/advance.ts'
import { lockRun } from '#api/runs/run.ts'
import { metrics } from '#schema/tables.ts'
import { testServer } from '#test/support/server.ts'
import { hostile, seed } from './seed.ts'

const executablePath = process.env['CHROMIUM'] || '/usr/bin/chromium'
const skip = existsSync(executablePath)
  ? false
  : `no browser at ${executablePath}; CHROMIUM names one`

if (skip !== false) {
  test('the pages in a browser', { skip }, () => {})
} else {
  const server = await testServer()
  const { db } = server.context
  const world = await seed(db)
  const shots =
    process.env['ODDSMITH_SCREENSHOTS'] || (await mkdtemp(join(tmpdir(), 'oddsmith-pages-')))
  await mkdir(shots, { recursive: true })
  const browser: Browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  after(() => browser.close())

  const wide: BrowserContextOptions = {
    viewport: { width: 1280, height: 900 },
    colorScheme: 'light',
  }
  const phone: BrowserContextOptions = {
    viewport: { width: 390, height: 844 },
    colorScheme: 'light',
    deviceScaleFactor: 2,
  }
  const looks = {
    'desktop-light': wide,
    'desktop-dark': { ...wide, colorScheme: 'dark' },
    'phone-light': phone,
    'phone-dark': { ...phone, colorScheme: 'dark' },
  } satisfies Record<string, BrowserContextOptions>

  /** A page that fails the test for what a visitor would not see: console errors, failing or foreign requests. */
  async function open(
    options: BrowserContextOptions,
    use: (page: Page) => Promise<void>,
  ): Promise<void> {
    const context = await browser.newContext({ ...options, baseURL: server.url })
    const wrong: string[] = []
    const page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning')
        wrong.push(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => wrong.push(`error: ${error.message}`))
    page.on('response', (response) => {
      if (response.status() >= 400) wrong.push(`${response.status()} ${response.url()}`)
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(`${server.url}/`)) wrong.push(`elsewhere: ${request.url()}`)
    })
    try {
      await use(page)
    } finally {
      await context.close()
    }
    assert.deepEqual(wrong, [])
  }

  async function login(page: Page, next: string): Promise<void> {
    await page.goto(next)
    await page.getByLabel('API key').fill(world.key)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.waitForURL((url) => url.pathname === next)
  }

  const fits = async (page: Page) =>
    assert.ok(
      await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
      'the page is wider than the screen',
    )

  for (const [look, options] of Object.entries(looks)) {
    test(`the leaderboard, a run and a comparison are whole: ${look}`, async () => {
      await open(options, async (page) => {
        await page.goto('/')
        assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'Leaderboard')
        assert.equal(await page.locator('table').count(), 2)
        assert.ok(await page.getByText('orpo-beta-0.3').first().isVisible())
        await fits(page)
        await page.screenshot({ path: join(shots, `leaderboard-${look}.png`), fullPage: true })

        await login(page, `/runs/${world.strong.runId}`)
        assert.equal(await page.locator('figure.chart').first().isVisible(), true)
        assert.ok(await page.getByText('48 / 15').first().isVisible())
        await fits(page)
        await page.screenshot({ path: join(shots, `run-${look}.png`), fullPage: true })

        await page.getByRole('link', { name: 'See what changed' }).click()
        await page.getByRole('button', { name: 'Judge' }).click()
        await page.waitForURL(/claim=NON_INFERIORITY&margin=0.01&over=each/)
        assert.ok(await page.getByText('not inferior by more than').first().isVisible())
        await fits(page)
        await page.screenshot({ path: join(shots, `comparison-${look}.png`), fullPage: true })
        await page.getByRole('link', { name: 'OpenBookQA' }).click()
        await page.getByRole('link', { name: 'Lost 15' }).click()
        assert.equal(await page.locator('article.sample').count(), 15)
        assert.match(page.url(), /\/flips\?/)
        await fits(page)
        await page.screenshot({ path: join(shots, `flips-${look}.png`), fullPage: true })

        await page.getByRole('link', { name: 'Runs', exact: true }).click()
        assert.ok(await page.getByText(hostile).isVisible())
        await fits(page)
        await page.screenshot({ path: join(shots, `runs-${look}.png`), fullPage: true })
        await page.getByRole('link', { name: 'Leaderboard' }).click()
        assert.equal(
          await page.getByRole('link', { name: /what changed for orpo-beta-0\.3/ }).count(),
          2,
        )
        await fits(page)
        await page.screenshot({
          path: join(shots, `leaderboard-known-${look}.png`),
          fullPage: true,
        })
        await page.getByRole('button', { name: 'Log out' }).click()
        await page.goto('/login')
        await page.screenshot({ path: join(shots, `login-${look}.png`) })
      })
    })
  }

  test('the page of a running run follows it, and stays when it has ended', async () => {
    const { running } = world
    await open(wide, async (page) => {
      await login(page, `/runs/${running.id}`)
      await page.screenshot({ path: join(shots, 'running-desktop-light.png'), fullPage: true })
      assert.ok(await page.getByText('140 of 300 steps').isVisible())
      // Marks the document: a reload would lose it.
      await page.evaluate('globalThis.mark = 1')
      await db.transaction(async (tx) => {
        await tx.insert(metrics).values({ runId: running.id, name: 'loss', step: 141, value: 1.5 })
        const progress = {
          phase: 'TRAIN',
          done: 141,
          total: 300,
          unit: 'steps',
          tokensPerSecond: 5000,
          etaSeconds: 600,
        }
        await append(tx, await lockRun(tx, running.id), [
          { source: 'RUNTIME', type: 'progress', body: progress },
          { source: 'RUNTIME', type: 'log', body: { level: 'info', message: 'step 141 has come' } },
        ])
      })
      await page.getByText('141 of 300 steps').waitFor()
      assert.ok(await page.getByText('step 141 has come').isVisible())
      await db.transaction(async (tx) => advance(tx, await lockRun(tx, running.id), 'SUCCEEDED'))
      await page.getByText('succeeded', { exact: true }).waitFor()
      assert.equal(await page.evaluate('globalThis.mark'), 1)
    })
  })

  test('without JavaScript the pages say the same', async () => {
    await open({ ...wide, javaScriptEnabled: false }, async (page) => {
      await login(page, `/runs/${world.strong.runId}`)
      assert.ok(await page.getByText('48 / 15').first().isVisible())
      assert.equal(await page.locator('figure.chart').count(), 10)
    })
  })

  test('a wrong key is refused in words', async () => {
    await open(wide, async (page) => {
      await page.goto('/login?next=/runs')
      await page.getByLabel('API key').fill('ods_000000000000_wrong')
      await page.getByRole('button', { name: 'Log in' }).click()
      assert.match((await page.getByRole('alert').textContent())!, /not known/)
      assert.ok(page.url().includes('next=%2Fruns'))
    })
  })
}
