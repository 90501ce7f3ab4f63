/** POST /login exchanges a key for a cookie, POST /logout ends it: plain HTML forms, answered by redirects. */
import { Hono } from 'hono'
import { readText } from '../body.ts'
import type { Context } from '../context.ts'
import { TooLarge } from '../problem.ts'
import { verifyKey } from './keys.ts'
import { originOf } from './origin.ts'
import { closeSession, openSession, sessionToken } from './session.ts'

/** The origin header knows of a TLS proxy before us; the url does not. */
const isSecure = (request: Request): boolean =>
  request.url.startsWith('https:') || (request.headers.get('origin') ?? '').startsWith('https:')

const redirect = (location: string, setCookie?: string): Response =>
  new Response(null, {
    status: 303,
    headers: {
      location,
      'cache-control': 'no-store',
      ...(setCookie === undefined ? {} : { 'set-cookie': setCookie }),
    },
  })

/** A path on this site, or `/`: a login never leads elsewhere. */
export function localPath(text: unknown): string {
  const here = 'http://here.invalid'
  if (typeof text !== 'string' || !text.startsWith('/') || !URL.canParse(text, here)) return '/'
  const url = new URL(text, here)
  return url.origin === here ? url.pathname + url.search : '/'
}

const refuse = () => new Response('expected a request from a page of this site\n', { status: 403 })

/**
 * Form fields `key` and, optionally, `next` (a path on this site). Right: 303 to `next` with the cookie.
 * Wrong: 303 to `/login?failed=1&next=...`. From another site's page: 403.
 */
export async function login(ctx: Pick<Context, 'db'>, request: Request): Promise<Response> {
  if (originOf(request) === 'OTHER') return refuse()
  const type = request.headers.get('content-type') ?? ''
  if (!type.startsWith('application/x-www-form-urlencoded'))
    return new Response('expected a form with the field "key"\n', { status: 415 })
  const body = await readText(request, 16 * 1024).catch((error: unknown) => {
    if (error instanceof TooLarge) return error
    throw error
  })
  if (body instanceof TooLarge) return new Response(`${body.message}\n`, { status: body.status })
  const form = new URLSearchParams(body)
  const next = localPath(form.get('next'))
  const key = form.get('key')
  const holder = key === null ? null : await verifyKey(ctx, key.trim())
  if (holder === null) return redirect(`/login?${new URLSearchParams({ failed: '1', next })}`)
  return redirect(next, await openSession(ctx, holder.keyId, isSecure(request)))
}

/** Ends the session of the cookie and leads to `/`. */
export async function logout(ctx: Pick<Context, 'db'>, request: Request): Promise<Response> {
  if (originOf(request) === 'OTHER') return refuse()
  return redirect('/', await closeSession(ctx, sessionToken(request), isSecure(request)))
}

/** The two routes, to be mounted at the root. */
export const createAccountRoutes = (ctx: Pick<Context, 'db'>): Hono =>
  new Hono()
    .post('/login', (c) => login(ctx, c.req.raw))
    .post('/logout', (c) => logout(ctx, c.req.raw))
