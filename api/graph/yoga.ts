/** The GraphQL endpoint: requests in, responses out; a server mounts `fetch`. */
import { renderGraphiQL } from '@graphql-yoga/render-graphiql'
import { createYoga } from 'graphql-yoga'
import type { Caller } from '../accounts/authenticate.ts'
import type { Context } from '../context.ts'
import { tabs } from './examples.ts'
import { admit, useOwnPages } from './gate.ts'
import { useLimits } from './limits.ts'
import { maskError } from './mask.ts'
import { schema } from './schema.ts'

/** Open to introspection and at `/graphql` unless told. */
export type GraphOptions = {
  /** Whether the schema may be asked for; the printed SDL is in the repository anyway. */
  readonly introspection?: boolean
  readonly path?: string
}

/** Web-standard, so it needs no port. */
export type Graph = { fetch(request: Request): Promise<Response> }

/** The page's scripts are inline and make their workers from blobs; nothing comes from anywhere else. */
const graphiqlPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Bearer keys and session cookies; anonymous requests get the leaderboard. GraphiQL is at the same address, for browsers. */
export function createGraph(
  ctx: Context,
  { introspection = true, path = '/graphql' }: GraphOptions = {},
): Graph {
  const yoga = createYoga<{ caller: Caller | null }>({
    schema,
    context: ({ caller }) => ({ ...ctx, caller }),
    graphqlEndpoint: path,
    maskedErrors: { maskError: maskError(ctx) },
    plugins: [useLimits({ introspection }), useOwnPages()],
    graphiql: {
      title: 'Oddsmith GraphiQL',
      defaultTabs: tabs,
      defaultQuery: tabs[0]!.query,
      credentials: 'same-origin',
    },
    renderGraphiQL,
    maxRequestBodySize: Math.min(ctx.config.limits.bodyBytes, 1 << 20),
    // Node's own: with the bundled ones a server's cancelling of a body does not reach the stream behind it.
    fetchAPI: { Request, Response, Headers, ReadableStream, TextEncoder, TextDecoder, URL },
    // Nobody else's pages may read answers, and forms are no way to ask.
    cors: false,
    multipart: false,
    landingPage: false,
    logging: false,
  })
  return {
    async fetch(request) {
      const admitted = await admit(ctx, request)
      if (admitted instanceof Response) return admitted
      const response = await yoga.fetch(request, admitted)
      if (response.headers.get('content-type')?.startsWith('text/html')) {
        response.headers.set('content-type', 'text/html; charset=utf-8')
        response.headers.set('content-security-policy', graphiqlPolicy)
      }
      return response
    },
  }
}
