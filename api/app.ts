/** One Hono app of all that the api answers; anybody can call it without a port: `app.request('/health')`. */
import { sql } from 'drizzle-orm'
import { Hono } from 'hono'
import { createAccountRoutes } from './accounts/routes.ts'
import type { Artifacts } from './artifacts.ts'
import type { Context } from './context.ts'
import { createExports } from './exports/routes.ts'
import { createGraph } from './graph/yoga.ts'
import { InvalidInput, Problem } from './problem.ts'
import { createRuntimeRoutes } from './runtime.ts'
import { createPages } from './web/routes.ts'

/** What the routes share. */
export type AppContext = Context & {
  readonly artifacts: Artifacts
  /** False while the api starts or drains: a load balancer should look elsewhere. */
  readonly serving: () => boolean
}

/**
 * A Problem becomes its own status and `{ error: { type, message, issues? } }`; anything else is logged and answered with
 * a masked 500. `/graphql` masks by itself.
 */
export function createApp(ctx: AppContext): Hono {
  const app = new Hono()

  app.use(async (c, next) => {
    const start = performance.now()
    await next()
    // The path alone: queries may carry what a log must not.
    const { method, path } = c.req
    ctx.log.debug(
      { method, path, status: c.res.status, ms: Math.round(performance.now() - start) },
      'request',
    )
  })

  app.get('/health', (c) => c.json({ status: 'ok' }))
  app.get('/ready', async (c) => {
    const database = await ctx.db.execute(sql`select 1`).then(
      () => true,
      () => false,
    )
    const ready = database && ctx.serving()
    return c.json(
      { status: ready ? 'ready' : 'not ready', database, serving: ctx.serving() },
      ready ? 200 : 503,
    )
  })
  app.route('/runtime', createRuntimeRoutes(ctx))
  const graph = createGraph(ctx)
  app.all('/graphql', (c) => graph.fetch(c.req.raw))
  app.route('/', createAccountRoutes(ctx))
  app.route('/', createExports(ctx))
  app.route('/', createPages(ctx))

  app.onError((error, c) => {
    if (error instanceof Problem) {
      const issues = error instanceof InvalidInput ? { issues: error.issues } : {}
      return c.json(
        { error: { type: error.name, message: error.message, ...issues } },
        error.status,
      )
    }
    ctx.log.error({ err: error, method: c.req.method, path: c.req.path }, 'request failed')
    return c.json({ error: { type: 'Unexpected', message: 'Unexpected error.' } }, 500)
  })
  app.notFound((c) =>
    c.json({ error: { type: 'NotFound', message: `nothing is at ${c.req.path}` } }, 404),
  )
  return app
}
