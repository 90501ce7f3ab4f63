/** Which page a browser's request comes from: the half of CSRF protection that SameSite cookies leave open. */

/**
 * SAME: from a page of ours, or from the address bar. OTHER: from a page that is not ours, a sibling subdomain included.
 * UNKNOWN: neither header is there, so no browser of this decade sent it.
 * Hosts are compared without the scheme, which a proxy that ends TLS hides from us.
 */
export function originOf(request: Request): 'SAME' | 'OTHER' | 'UNKNOWN' {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin' || site === 'none' ? 'SAME' : 'OTHER'
  const origin = request.headers.get('origin')
  if (origin === null) return 'UNKNOWN'
  const own = request.headers.get('host') ?? new URL(request.url).host
  return URL.canParse(origin) && new URL(origin).host === own ? 'SAME' : 'OTHER'
}
