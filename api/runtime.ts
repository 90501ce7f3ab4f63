/** The five routes that a runtime speaks to; schema/protocol.ts says what they mean. */
import { Readable } from 'node:stream'
import { eq } from 'drizzle-orm'
import { Hono } from 'hono'
import { z } from 'zod'
import { artifacts as table } from '#schema/tables.ts'
import { UploadQuery, type Artifacts } from './artifacts.ts'
import type { Context } from './context.ts'
import { readText } from './body.ts'
import { InvalidInput, NotFound, Unauthorized } from './problem.ts'
import { holdActiveAttempt, renew } from './runs/attempt.ts'
import { parseBatch } from './runs/batch.ts'
import { ingest } from './runs/ingest.ts'
import { namedAdapter, buildJob } from './runs/job.ts'
import { known, parseQuestion } from './runs/known.ts'

export function createRuntimeRoutes(ctx: Context & { readonly artifacts: Artifacts }): Hono {
  const { config, db, artifacts } = ctx
  const app = new Hono()

  app.get('/job', async (c) => {
    const job = await db.transaction(async (tx) => {
      const run = await holdActiveAttempt(tx, bearer(c.req.raw))
      await renew(tx, run, config.leaseSeconds)
      return buildJob({ config, db: tx }, run)
    })
    return c.json(job)
  })

  app.post('/events', async (c) => {
    const token = bearer(c.req.raw)
    const batch = parseBatch(await readText(c.req.raw, config.limits.bodyBytes))
    return c.json(await ingest(ctx, token, batch))
  })

  app.post('/known', async (c) => {
    const token = bearer(c.req.raw)
    const question = parseQuestion(await readText(c.req.raw, config.limits.bodyBytes))
    const answer = await db.transaction(async (tx) => {
      const run = await holdActiveAttempt(tx, token)
      await renew(tx, run, config.leaseSeconds)
      return known(tx, run, question)
    })
    return c.json(answer)
  })

  app.put('/artifacts', async (c) => {
    const token = bearer(c.req.raw)
    const query = UploadQuery.safeParse(c.req.query())
    if (!query.success) throw invalid(query.error)
    return c.json(await artifacts.store(token, query.data, c.req.raw.body ?? Readable.from([])))
  })

  app.get('/artifacts/:id', async (c) => {
    const id = z.guid().safeParse(c.req.param('id'))
    if (!id.success) throw invalid(id.error)
    const artifact = await db.transaction(async (tx) => {
      const run = await holdActiveAttempt(tx, bearer(c.req.raw))
      const [row] = await tx.select().from(table).where(eq(table.id, id.data))
      const adapter =
        row?.kind === 'ADAPTER' && row.runId !== run.id ? await namedAdapter(tx, run) : null
      // Of its own run, or the adapter that it scores or starts from; of others it does not learn that they exist.
      const belongs =
        row?.runId === run.id ||
        (adapter !== null &&
          (adapter.runId === null ? row?.adapterId === adapter.id : row?.runId === adapter.runId))
      if (row === undefined || !belongs) throw new NotFound(`no artifact ${id.data}`)
      return row
    })
    const file = await artifacts.read(artifact)
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': String(file.bytes),
      etag: `"${artifact.sha256}"`,
    }
    return new Response(Readable.toWeb(Readable.from(file.stream())) as ReadableStream, { headers })
  })

  return app
}

const invalid = ({ issues }: z.ZodError) =>
  new InvalidInput(issues.map(({ path, message }) => ({ path: path.map(String), message })))

function bearer(request: Request): string {
  const match = /^Bearer ([\w.-]{1,200})$/i.exec(request.headers.get('authorization') ?? '')
  if (match === null) throw new Unauthorized('expected authorization: Bearer <attempt token>')
  return match[1]!
}
