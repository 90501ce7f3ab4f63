/**
 * A stand-in for the Hub on loopback: repositories by id and commit, files that are in git and large ones that are served from another
 * origin, pages of the tree, ranges, and mishaps on demand.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type File = { readonly content: Buffer; readonly large: boolean }
type StandInRepository = {
  /** Branches and other refs. */
  readonly refs: Record<string, string>
  readonly commits: Record<string, Record<string, File>>
  /** Answers 401 to whoever has not this token. */
  readonly token?: string
  /** Answers 403 to everyone. */
  readonly gated?: boolean
}

export const inGit = (content: string): File => ({ content: Buffer.from(content), large: false })
export const large = (content: string | Buffer): File => ({
  content: Buffer.from(content),
  large: true,
})

export type Asked = {
  readonly server: 'hub' | 'cdn'
  readonly method: string
  readonly url: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

export type StandIn = {
  readonly endpoint: string
  readonly repositories: Record<string, StandInRepository>
  readonly asked: Asked[]
  /** The next answers, whatever is asked; then all is well again. */
  readonly mishaps: (
    | { status: number; retryAfter?: number }
    | { dropFileAfter: number }
    | { corrupt: true }
  )[]
  /** Entries of the tree on one page. */
  pageSize: number
  /** Files are sent whole whatever range is asked for. */
  withoutRanges: boolean
  close(): Promise<void>
}

const etagOf = ({ content, large: isLarge }: File): string =>
  isLarge
    ? createHash('sha256').update(content).digest('hex')
    : createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

export async function standInHub(
  repositories: Record<string, StandInRepository>,
): Promise<StandIn> {
  const hub = createServer((request, response) => void answer(request, response))
  const cdn = createServer((request, response) => void serve(request, response))
  await Promise.all(
    [hub, cdn].map((server) => new Promise<void>((r) => server.listen(0, '127.0.0.1', r))),
  )
  const origin = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const blobs = new Map<string, Buffer>()
  const state: StandIn = {
    endpoint: origin(hub),
    repositories,
    asked: [],
    mishaps: [],
    pageSize: 1000,
    withoutRanges: false,
    async close() {
      for (const server of [hub, cdn]) server.closeAllConnections()
      await Promise.all([hub, cdn].map((server) => new Promise((r) => server.close(r))))
    },
  }
  const note = (server: 'hub' | 'cdn', { method, url, headers }: IncomingMessage) =>
    state.asked.push({
      server,
      method: method!,
      url: url!,
      range: headers.range,
      authorization: headers.authorization,
    })
  const json = (response: ServerResponse, status: number, value: unknown, headers = {}) =>
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(value))

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    note('hub', request)
    const [next] = state.mishaps
    if (next !== undefined && 'status' in next) {
      state.mishaps.shift()
      const { status, retryAfter } = next
      const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
      return json(response, status, { error: 'not now' }, headers)
    }
    const url = new URL(request.url!, state.endpoint)
    const found =
      /^\/api\/datasets\/([^/]+\/[^/]+)\/(revision|tree|paths-info)\/([^/]+)$/.exec(url.pathname) ??
      /^\/datasets\/([^/]+\/[^/]+)\/(resolve)\/([^/]+)\/(.+)$/.exec(url.pathname)
    if (found === null) return json(response, 404, { error: 'Not found' })
    const [, id, verb, revision, path] = found.map((part) => decodeURIComponent(part ?? ''))
    const repository = repositories[id!]
    if (repository === undefined) return json(response, 401, { error: 'Repository not found' })
    if (repository.gated === true) return json(response, 403, { error: 'Access is restricted' })
    if (
      repository.token !== undefined &&
      request.headers.authorization !== `Bearer ${repository.token}`
    )
      return json(response, 401, { error: 'Invalid username or password.' })
    const commit = repository.refs[revision!] ?? revision!
    const files = repository.commits[commit]
    if (files === undefined) return json(response, 404, { error: `Invalid rev id: ${revision}` })
    const entry = (name: string) => ({
      type: 'file',
      path: name,
      size: files[name]!.content.length,
      oid: files[name]!.large ? 'f'.repeat(40) : etagOf(files[name]!),
      ...(files[name]!.large && {
        lfs: { oid: etagOf(files[name]!), size: files[name]!.content.length, pointerSize: 130 },
      }),
    })
    const names = Object.keys(files)
    if (verb === 'revision') return json(response, 200, { _id: '1', id, sha: commit })
    if (verb === 'tree') {
      const from = Number(url.searchParams.get('cursor') ?? 0)
      const to = from + state.pageSize
      url.searchParams.set('cursor', String(to))
      const link = to < names.length ? { link: `<${url.href}>; rel="next"` } : {}
      const folders = [
        ...new Set(names.flatMap((n) => (n.includes('/') ? [n.split('/')[0]!] : []))),
      ]
      const page = names.slice(from, to).map(entry)
      const first =
        from === 0 ? folders.map((name) => ({ type: 'directory', path: name, size: 0 })) : []
      return json(response, 200, [...first, ...page], link)
    }
    if (verb === 'paths-info') {
      const { paths } = JSON.parse(Buffer.concat(await request.toArray()).toString()) as {
        paths: string[]
      }
      return json(response, 200, paths.filter((name) => name in files).map(entry))
    }
    const file = files[path!]
    if (file === undefined)
      return json(response, 404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' })
    const etag = etagOf(file)
    if (!file.large) return send(request, response, file.content, etag)
    blobs.set(`/${etag}`, file.content)
    const location = `${origin(cdn)}/${etag}?signature=1`
    return response
      .writeHead(302, {
        location,
        'x-linked-etag': `"${etag}"`,
        'x-linked-size': String(file.content.length),
      })
      .end()
  }

  function serve(request: IncomingMessage, response: ServerResponse) {
    note('cdn', request)
    const content = blobs.get(request.url!.split('?')[0]!)
    if (content === undefined) return response.writeHead(403).end()
    return send(request, response, content, 'of-the-store')
  }

  function send(request: IncomingMessage, response: ServerResponse, all: Buffer, etag: string) {
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? []
    const partial = from !== undefined && !state.withoutRanges
    let content = partial ? all.subarray(Number(from)) : all
    const [next] = state.mishaps
    if (next !== undefined && 'corrupt' in next) {
      state.mishaps.shift()
      content = Buffer.from(content.map((byte, i) => (i === 3 ? byte ^ 1 : byte)))
    }
    const end = all.length - 1
    response.writeHead(partial ? 206 : 200, {
      etag: `"${etag}"`,
      'content-length': content.length,
      ...(partial && { 'content-range': `bytes ${from}-${end}/${all.length}` }),
    })
    if (next !== undefined && 'dropFileAfter' in next) {
      state.mishaps.shift()
      return response.write(content.subarray(0, next.dropFileAfter), () => response.destroy())
    }
    return response.end(content)
  }
  return state
}
