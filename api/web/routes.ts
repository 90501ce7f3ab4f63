/** The pages. Only the leaderboard and the login are for everybody. */
import { eq } from 'drizzle-orm'
import { Hono, type Context as Call } from 'hono'
import { html } from 'hono/html'
import { z } from 'zod'
import { accounts } from '#schema/tables.ts'
import { authenticate } from '../accounts/authenticate.ts'
import type { Context } from '../context.ts'
import { comparisonPage } from './comparison.ts'
import { flipsPage } from './flipsSection.ts'
import { assets, respond, type Viewer } from './layout.ts'
import { leaderboard } from './leaderboard.ts'
import { loginPage } from './login.ts'
import { runPage } from './run.ts'
import { runList } from './runs.ts'

const isId = (text: string): boolean => z.guid().safeParse(text).success

const pageNumber = z.coerce.number().int().min(1).max(100_000).catch(1)

/** Routes: /, /login, /runs, /runs/:id, /comparisons/:id, /comparisons/:id/flips and /assets/*; to be mounted at the root. */
export function createPages(ctx: Pick<Context, 'db'>): Hono {
  async function viewerOf(request: Request): Promise<Viewer | null> {
    const caller = await authenticate(ctx, request)
    if (caller === null) return null
    const [account] = await ctx.db.select().from(accounts).where(eq(accounts.id, caller.accountId))
    return { accountId: caller.accountId, name: account!.name }
  }

  /** Leads to the login, and from there back, whoever is not known. */
  const known =
    (page: (c: Call, viewer: Viewer) => Promise<Response | null>) => async (c: Call) => {
      const viewer = await viewerOf(c.req.raw)
      if (viewer === null) {
        const { pathname, search } = new URL(c.req.url)
        return c.redirect(`/login?${new URLSearchParams({ next: pathname + search })}`, 303)
      }
      return (await page(c, viewer)) ?? missing(viewer)
    }

  const byId = (page: (c: Call, viewer: Viewer, id: string) => Promise<Response | null>) =>
    known(async (c, viewer) => {
      const id = c.req.param('id') ?? ''
      return isId(id) ? page(c, viewer, id) : null
    })

  const app = new Hono()
    .get('/', async (c) => leaderboard(ctx, await viewerOf(c.req.raw)))
    .get('/login', async (c) =>
      loginPage(await viewerOf(c.req.raw), {
        failed: c.req.query('failed') !== undefined,
        next: c.req.query('next') ?? '/',
      }),
    )
    .get(
      '/runs',
      known((c, viewer) => runList(ctx, viewer, pageNumber.parse(c.req.query('page')))),
    )
    .get(
      '/runs/:id',
      byId((c, viewer, id) => runPage(ctx, viewer, id, c.req.query('part'))),
    )
    .get(
      '/comparisons/:id',
      byId((c, viewer, id) => comparisonPage(ctx, viewer, id, c.req.query())),
    )
    .get(
      '/comparisons/:id/flips',
      byId((c, viewer, id) =>
        flipsPage(ctx, viewer, id, {
          task: c.req.query('task'),
          show: c.req.query('show'),
          page: pageNumber.parse(c.req.query('page')),
        }),
      ),
    )
  for (const { path, type, content } of assets) {
    const headers = {
      'content-type': type,
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    }
    app.get(path, (c) => c.body(content, 200, headers))
  }
  return app
}

const missing = (viewer: Viewer): Promise<Response> =>
  respond({
    title: 'Not found',
    viewer,
    status: 404,
    body: html`<div class="card empty">
      <b>Nothing is here</b>The address is wrong, or what it named was never made.
      <a href="/runs">All runs</a>
    </div>`,
  })
