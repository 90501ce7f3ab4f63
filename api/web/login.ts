/** GET /login: the form that exchanges an API key for a cookie. Its POST, and POST /logout, are the accounts' routes. */
import { html } from 'hono/html'
import { localPath } from '../accounts/routes.ts'
import { respond, type Viewer } from './layout.ts'

export function loginPage(
  viewer: Viewer | null,
  request: { readonly failed: boolean; readonly next: string },
): Promise<Response> {
  const body = html`<form class="login card" method="post" action="/login">
    <h1>Log in</h1>
    <p>Paste an API key of this installation. The browser keeps a cookie in its place.</p>
    ${request.failed && html`<p class="wrong" role="alert">This key is not known, or it was revoked.</p>`}
    <label for="key">API key</label>
    <input
      id="key"
      name="key"
      type="password"
      required
      autofocus
      autocomplete="current-password"
      spellcheck="false"
      placeholder="ods_…"
    />
    <input type="hidden" name="next" value="${localPath(request.next)}" />
    <button>Log in</button>
  </form>`
  return respond({ title: 'Log in', viewer, body })
}
