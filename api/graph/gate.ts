/** What is decided about a request before its GraphQL is looked at, and what mutations ask of a browser. */
import { getOperationAST, GraphQLError } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { authenticate, claimsKey, type Caller } from '../accounts/authenticate.ts'
import { originOf } from '../accounts/origin.ts'
import type { Context } from '../context.ts'

const refuse = (
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response => Response.json({ errors: [{ message, extensions: { code } }] }, { status, headers })

const wantsHtml = ({ method, headers }: Request): boolean =>
  method === 'GET' && (headers.get('accept') ?? '').includes('text/html')

/**
 * Who asks, or the answer that ends it:
 * a key that is wrong is refused as a whole, so that nobody takes an anonymous answer for his own; a person without a session
 * who opens GraphiQL is led to the login; with a cookie only JSON is taken, which no other site's page can send
 * without asking first (a "simple" form post it can).
 */
export async function admit(
  ctx: Context,
  request: Request,
): Promise<Response | { readonly caller: Caller | null }> {
  const caller = await authenticate(ctx, request)
  if (caller === null && claimsKey(request)) {
    const message =
      'expected "authorization: Bearer ods_..." with a key that exists and was not revoked'
    return refuse(401, 'UNAUTHENTICATED', message, {
      'www-authenticate': 'Bearer realm="oddsmith"',
    })
  }
  if (caller === null && wantsHtml(request)) {
    const { pathname, search } = new URL(request.url)
    const location = `/login?${new URLSearchParams({ next: pathname + search })}`
    return new Response(null, { status: 303, headers: { location, 'cache-control': 'no-store' } })
  }
  if (caller?.via === 'SESSION' && request.method === 'POST') {
    if (originOf(request) === 'OTHER')
      return refuse(403, 'CROSS_SITE', 'expected a request from a page of this site')
    const type = request.headers.get('content-type') ?? ''
    if (!/^application\/json\b/i.test(type)) {
      return refuse(
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        `with a cookie expected content-type application/json, got "${type}"`,
      )
    }
  }
  return { caller }
}

/** Mutations that a cookie lets in have to come from a page of ours, and to say so. */
export function useOwnPages(): Plugin<{ caller: Caller | null }> {
  return {
    onExecute({ args, context }) {
      const operation = getOperationAST(args.document, args.operationName)
      if (operation?.operation !== 'mutation' || context.caller?.via !== 'SESSION') return
      if (originOf(context.request) === 'SAME') return
      throw new GraphQLError(
        'with a cookie expected the origin or sec-fetch-site header of a page of this site',
        {
          extensions: { code: 'CROSS_SITE', http: { status: 403 } },
        },
      )
    },
  }
}
