/** Downloads, for whoever has a key or a session; nothing is held but a page. */
import { Readable } from 'node:stream'
import { eq } from 'drizzle-orm'
import { Hono, type Context as Call } from 'hono'
import { z } from 'zod'
import { Subject } from '#schema/protocol.ts'
import { evaluations, runs, scores } from '#schema/tables.ts'
import { authenticate } from '../accounts/authenticate.ts'
import type { Context } from '../context.ts'
import { Conflict, InvalidInput, NotFound, Unauthorized } from '../problem.ts'
import { runSummary } from '../runs/suites.ts'
import { harnessResults, harnessSamples } from './harness.ts'
import { toJsonl } from './jsonl.ts'
import { toParquet } from './parquet.ts'
import { runResults } from './results.ts'
import { samplePages } from './samples.ts'

const SubjectQuery = z.enum(Subject.options).nullable()

/**
 * /exports/evaluations/:id/samples.jsonl, samples.parquet and harness.jsonl; /exports/runs/:id/results.json?subject=BASE|ADAPTER and
 * summary.md; to be mounted at the root.
 */
export function createExports(ctx: Pick<Context, 'db' | 'log'>): Hono {
  const { db } = ctx
  const app = new Hono()

  app.use('/exports/*', async (c, next) => {
    if ((await authenticate(ctx, c.req.raw)) === null)
      throw new Unauthorized('expected an API key: send "authorization: Bearer ods_..." or log in')
    await next()
  })

  const ofEvaluation =
    (type: string, extension: string, encode: (id: string) => AsyncIterable<string | Uint8Array>) =>
    async (c: Call) => {
      const id = idOf(c, 'evaluation')
      const [found] = await db.select().from(evaluations).where(eq(evaluations.id, id))
      if (found === undefined) throw new NotFound(`no evaluation ${id}`)
      if (found.finishedAt === null) throw new Conflict(`evaluation ${id} is not finished`)
      return streamed(ctx, type, `samples_${found.task}_${id.slice(0, 8)}.${extension}`, encode(id))
    }

  const lines = 'application/jsonl; charset=utf-8'
  app.get(
    '/exports/evaluations/:id/samples.jsonl',
    ofEvaluation(lines, 'jsonl', (id) => toJsonl(samplePages(db, id))),
  )
  app.get(
    '/exports/evaluations/:id/harness.jsonl',
    ofEvaluation(lines, 'harness.jsonl', (id) => harnessSamples(samplePages(db, id))),
  )
  app.get(
    '/exports/evaluations/:id/samples.parquet',
    ofEvaluation('application/vnd.apache.parquet', 'parquet', async function* (id) {
      const measured = await db.select().from(scores).where(eq(scores.evaluationId, id))
      const metrics = measured.map(({ metric }) => metric).sort()
      yield* toParquet(samplePages(db, id), metrics)
    }),
  )
  app.get('/exports/runs/:id/results.json', async (c) => {
    const id = idOf(c, 'run')
    const subject = SubjectQuery.safeParse(c.req.query('subject') ?? null)
    if (!subject.success)
      throw new InvalidInput([
        { path: ['subject'], message: `expected ${Subject.options.join(' or ')}` },
      ])
    const { run, results } = await runResults(db, id, subject.data)
    c.header('content-disposition', `attachment; filename="results_${id.slice(0, 8)}.json"`)
    c.header('cache-control', 'no-store')
    return c.json(harnessResults(run, results))
  })
  app.get('/exports/runs/:id/summary.md', async (c) => {
    const id = idOf(c, 'run')
    const [run] = await db.select().from(runs).where(eq(runs.id, id))
    if (run === undefined) throw new NotFound(`no run ${id}`)
    const summary = await runSummary(db, run)
    if (summary === null) throw new NotFound(`run ${id} was asked for no suite`)
    c.header('cache-control', 'no-store')
    return c.text(summary, 200, { 'content-type': 'text/markdown; charset=utf-8' })
  })
  return app
}

function idOf(c: Call, what: string): string {
  const given = c.req.param('id') ?? ''
  const id = z.guid().safeParse(given.slice(given.indexOf(':') + 1))
  if (!id.success) throw new NotFound(`no ${what} ${JSON.stringify(given)}`)
  return id.data
}

function streamed(
  { log }: Pick<Context, 'log'>,
  type: string,
  filename: string,
  chunks: AsyncIterable<string | Uint8Array>,
): Response {
  const body = Readable.from(bytesOf(chunks), { objectMode: true })
  body.on('error', (error) => log.error({ err: error, filename }, 'an export broke off'))
  return new Response(Readable.toWeb(body) as ReadableStream, {
    headers: {
      'content-type': type,
      'content-disposition': `attachment; filename="${filename}"`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  })
}

async function* bytesOf(chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}
