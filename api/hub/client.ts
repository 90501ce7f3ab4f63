/** The Hugging Face Hub: what a repository holds at a commit, and its files into the cache. */
import { createHash, randomUUID, type Hash } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import {
  HubApiError,
  datasetInfo,
  listFiles,
  modelInfo,
  pathsInfo,
  type RepoDesignation,
} from '@huggingface/hub'
import type { Hub } from '../env.ts'
import {
  UnsafeName,
  blobPath,
  isCommit,
  link,
  readRef,
  repositoryFolder,
  snapshotPath,
  writeRef,
  type Repository,
} from './cache.ts'

/** Why something cannot be had from the Hub, as a sentence. */
export class HubError extends Error {
  override readonly name = 'HubError'
}

const tries = 4
/** Before the second try, doubled for each further one; what Retry-After asks for is waited for up to the longest. Milliseconds. */
const firstPause = 250
const longestPause = 30_000
/** Until an answer begins. */
const patience = 30_000

/** More than any data set or model has. */
const maxFiles = 100_000

/** The commit that a branch, tag or ref is at now, noted in the cache. A commit is its own. Throws HubError. */
export async function commitOf(
  hub: Hub,
  repository: Repository,
  revision: string,
): Promise<string> {
  if (isCommit(revision)) return revision
  const found = await asked(hub, repository, (common) => {
    const options = { ...common, name: repository.id, revision, additionalFields: ['sha' as const] }
    return repository.type === 'dataset' ? datasetInfo(options) : modelInfo(options)
  })
  if (!isCommit(found.sha))
    throw new HubError(
      `${place(hub, repository)}: expected a commit for ${revision}, got ${found.sha}`,
    )
  await writeRef(hub.cache, repository, revision, found.sha)
  return found.sha
}

/** The commit that `revision` was at when it was first asked for; the Hub is asked where the cache does not know. */
export const pinnedCommit = async (
  hub: Hub,
  repository: Repository,
  revision: string,
): Promise<string> =>
  isCommit(revision)
    ? revision
    : ((await readRef(hub.cache, repository, revision)) ??
      (await commitOf(hub, repository, revision)))

/** Paths of all files at a commit. Throws HubError. */
export async function filesAt(hub: Hub, repository: Repository, commit: string): Promise<string[]> {
  return asked(hub, repository, async (common) => {
    const files: string[] = []
    const options = { ...common, repo: designation(repository), revision: commit, recursive: true }
    for await (const { type, path } of listFiles(options)) {
      if (type === 'file') files.push(path)
      if (files.length > maxFiles)
        throw new HubError(`${place(hub, repository)}: more than ${maxFiles} files`)
    }
    return files
  })
}

/**
 * A file at a commit as its path in the cache, downloaded unless it is there. A download whose connection breaks goes on where it was;
 * what does not have the content that the Hub named is thrown away. Throws HubError.
 */
export async function fetchFile(
  hub: Hub,
  repository: Repository,
  { commit, path, maxBytes }: { commit: string; path: string; maxBytes: number },
): Promise<string> {
  const where = `${place(hub, repository)}, ${path}`
  const at = safely(where, () => snapshotPath(hub.cache, repository, commit, path))
  if ((await sizeOf(at)) !== null) return at
  const [info] = await asked(hub, repository, (common) =>
    pathsInfo({ ...common, repo: designation(repository), revision: commit, paths: [path] }),
  )
  const etag = info?.lfs?.oid ?? info?.oid
  if (info?.type !== 'file' || etag === undefined)
    throw new HubError(`${where}: there is no such file at ${commit}`)
  const { size } = info
  if (size > maxBytes) throw new HubError(`${where}: ${size} bytes, expected at most ${maxBytes}`)
  const blob = safely(where, () => blobPath(hub.cache, repository, etag))
  if ((await sizeOf(blob)) !== size) {
    await mkdir(dirname(blob), { recursive: true })
    const partial = `${blob}.${randomUUID()}.incomplete`
    try {
      await download(hub, fileUrl(hub, repository, commit, path), partial, { etag, size, where })
      await rename(partial, blob)
    } finally {
      await rm(partial, { force: true })
    }
  }
  return link(hub.cache, repository, { commit, path, etag })
}

const fileUrl = (hub: Hub, { type, id }: Repository, commit: string, path: string): URL => {
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  return new URL(
    `${hub.endpoint}/${type === 'model' ? '' : `${type}s/`}${id}/resolve/${commit}/${encoded}`,
  )
}

/** Writes the whole file; HubError where it has not the content that its ETag is the hash of. */
async function download(
  hub: Hub,
  url: URL,
  to: string,
  { etag, size, where }: { etag: string; size: number; where: string },
): Promise<void> {
  const file = await open(to, 'w')
  try {
    let hash = hashLike(etag, size)
    let have = 0
    let last: unknown = new Error('it ended')
    for (let attempt = 0; have < size && attempt < tries; attempt++) {
      if (attempt > 0) await pause(firstPause * 2 ** (attempt - 1))
      try {
        const headers = { 'accept-encoding': 'identity', range: `bytes=${have}-` }
        const response = await send(hub, url, { headers })
        if (!response.ok) throw new HubError(`${where}: the answer is ${response.status}`)
        if (response.status !== 206 && have > 0) {
          // From the beginning again: this server knows no ranges.
          await file.truncate(0)
          have = 0
          hash = hashLike(etag, size)
        }
        for await (const chunk of response.body ?? []) {
          if (have + chunk.length > size)
            throw new HubError(`${where}: longer than the ${size} bytes that were announced`)
          await file.write(chunk, 0, chunk.length, have)
          hash.update(chunk)
          have += chunk.length
          attempt = 0 // it goes on
        }
      } catch (error) {
        if (error instanceof HubError || isOurs(error)) throw error
        last = error
      }
    }
    if (have < size)
      throw new HubError(
        `${where}: the connection broke ${tries} times after ${have} of ${size} bytes: ${reason(last)}`,
        { cause: last },
      )
    const found = hash.digest('hex')
    if (found !== etag)
      throw new HubError(`${where}: expected content with hash ${etag}, got ${found}`)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Large files are named by their sha256, small ones as git names them. */
const hashLike = (etag: string, size: number): Hash =>
  etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)

type Common = { hubUrl: string; fetch: typeof fetch; accessToken?: string }

/** One question to the Hub, its failures as sentences. */
async function asked<T>(
  hub: Hub,
  repository: Repository,
  question: (common: Common) => Promise<T>,
): Promise<T> {
  const where = place(hub, repository)
  safely(where, () => repositoryFolder(hub.cache, repository))
  try {
    return await question({
      hubUrl: hub.endpoint,
      fetch: (input, init) =>
        send(hub, new URL(input instanceof Request ? input.url : input), init),
      ...(hub.token === null ? {} : { accessToken: hub.token }),
    })
  } catch (cause) {
    if (cause instanceof HubError || isOurs(cause)) throw cause
    if (!(cause instanceof HubApiError)) throw new HubError(`${where}: ${reason(cause)}`, { cause })
    throw new HubError(`${where}: ${answers[cause.statusCode] ?? cause.message}`, { cause })
  }
}

const answers: Readonly<Record<number, string>> = {
  401: 'the answer is 401: it does not exist, or HF_TOKEN must be a token that may read it',
  403: 'the answer is 403: its terms must be accepted, or HF_TOKEN may not read it',
  404: 'the answer is 404: there is no such repository or revision',
  429: 'the answer is 429 again and again: too many requests; try later, or set HF_TOKEN',
}

/** With patience: what is busy or out of order for a moment is asked again. The token goes to the Hub and to nobody else. */
async function send(hub: Hub, url: URL, init?: RequestInit): Promise<Response> {
  const headers = new Headers(init?.headers)
  if (url.origin !== new URL(hub.endpoint).origin) headers.delete('authorization')
  else if (hub.token !== null) headers.set('authorization', `Bearer ${hub.token}`)
  for (let attempt = 1; ; attempt++) {
    const slow = new AbortController()
    const timer = setTimeout(() => {
      slow.abort(new Error(`no answer within ${patience / 1000} s`))
    }, patience)
    const doubled = firstPause * 2 ** (attempt - 1)
    try {
      const response = await fetch(url, { ...init, headers, signal: slow.signal })
      if (attempt === tries || (response.status !== 429 && response.status < 500)) return response
      await response.body?.cancel()
      const wanted = Number(response.headers.get('retry-after') ?? NaN) * 1000
      clearTimeout(timer)
      await pause(Math.min(Number.isNaN(wanted) ? doubled : wanted, longestPause))
    } catch (error) {
      if (attempt === tries) throw error
      await pause(doubled)
    } finally {
      clearTimeout(timer)
    }
  }
}

const designation = ({ type, id }: Repository): RepoDesignation => ({ type, name: id })

const place = ({ endpoint }: Hub, { type, id }: Repository): string => `${endpoint}: ${type} ${id}`

/** fetch hides what happened in its cause. */
function reason(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? `${message}: ${cause.message}` : message
}

/** The disk's errors, which no second try mends. */
const isOurs = (error: unknown): boolean =>
  typeof (error as NodeJS.ErrnoException).syscall === 'string' &&
  ['open', 'write', 'rename', 'mkdir', 'fsync', 'ftruncate'].includes(
    (error as NodeJS.ErrnoException).syscall!,
  )

function safely<T>(where: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    if (!(cause instanceof UnsafeName)) throw cause
    throw new HubError(`${where}: ${cause.message}`, { cause })
  }
}

const sizeOf = async (path: string): Promise<number | null> =>
  stat(path).then(
    ({ size }) => size,
    () => null,
  )
