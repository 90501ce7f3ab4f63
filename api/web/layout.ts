/** What every page shares: head, header, footer, and the headers of its response. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { html, raw } from 'hono/html'

export type Html = ReturnType<typeof html>

/** Who looks at the page; null for the public. */
export type Viewer = { readonly accountId: string; readonly name: string }

export type Page = {
  readonly title: string
  readonly viewer: Viewer | null
  /** Which entry of the navigation is this page. */
  readonly at?: 'leaderboard' | 'runs'
  /** Runs live.js, and reloads every ten seconds where there is no JavaScript. */
  readonly live?: boolean
  readonly status?: 200 | 404
  readonly body: Html
}

const asset = (name: string, type: string) => {
  const content = readFileSync(new URL(name, import.meta.url), 'utf8')
  const tag = createHash('sha256').update(content).digest('hex').slice(0, 12)
  return { path: `/assets/${name}`, href: `/assets/${name}?${tag}`, type, content }
}

const style = asset('style.css', 'text/css; charset=utf-8')
const live = asset('live.js', 'text/javascript; charset=utf-8')
const icon = asset('icon.svg', 'image/svg+xml')
export const assets = [style, live, icon]

/** Everything comes from this origin; nothing is inline, so nothing that a run's name smuggles in can run. */
export const security = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
    "base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

export async function respond(page: Page): Promise<Response> {
  const headers = {
    ...security,
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
  }
  return new Response(String(await render(page)), { status: page.status ?? 200, headers })
}

const entry = (page: Page, at: Page['at'], href: string, text: string) =>
  html`<a href="${href}" ${page.at === at ? raw('aria-current="page"') : ''}>${text}</a>`

const render = (page: Page): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${page.title} · Oddsmith</title>
        <link rel="stylesheet" href="${style.href}" />
        <link rel="icon" href="${icon.href}" type="image/svg+xml" />
        ${
          page.live === true &&
          html`<noscript><meta http-equiv="refresh" content="10" /></noscript>
            <script type="module" src="${live.href}"></script>`
        }
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <div class="bar">
          <div>
            <a class="brand" href="/">${raw(icon.content)} Oddsmith</a>
            <nav aria-label="Pages">
              ${entry(page, 'leaderboard', '/', 'Leaderboard')}
              ${page.viewer && html`${entry(page, 'runs', '/runs', 'Runs')} <a href="/graphql">GraphiQL</a>`}
            </nav>
            <div class="who">
              ${
                page.viewer
                  ? html`<span class="soft">${page.viewer.name}</span>
                      <form method="post" action="/logout">
                        <button class="plain">Log out</button>
                      </form>`
                  : html`<a href="/login">Log in</a>`
              }
            </div>
          </div>
        </div>
        <main id="main">${page.body}</main>
        <footer>
          <p>
            Intervals are at 95 %. Rows are compared by their difference on the same questions, not
            by their own intervals.
          </p>
        </footer>
      </body>
    </html> `
