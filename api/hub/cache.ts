/**
 * The Hub's cache on disk as huggingface_hub lays it out, so that both find each other's files:
 *
 *     <cache>/datasets--org--name/refs/main                          a commit
 *                                 blobs/<etag>
 *                                 snapshots/<commit>/data/test.parquet -> ../../../blobs/<etag>
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'

export type Repository = { readonly type: 'model' | 'dataset'; readonly id: string }

/** A name from outside that would not stay inside the cache. */
export class UnsafeName extends Error {
  override readonly name = 'UnsafeName'
}

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

const part = /^(?!\.+$)[\w.-]{1,128}$/

/** Throws UnsafeName for what is not `name` or `organization/name`. */
export function repositoryFolder(cache: string, { type, id }: Repository): string {
  const parts = id.split('/')
  if (parts.length > 2 || !parts.every((name) => part.test(name)))
    throw new UnsafeName(
      `expected a repository such as organization/name, got ${JSON.stringify(id)}`,
    )
  return join(cache, [`${type}s`, ...parts].join('--'))
}

/** Where a file of a commit is, or will be. Throws UnsafeName for a path with `..`, a root, a drive or a backslash. */
export function snapshotPath(
  cache: string,
  repository: Repository,
  commit: string,
  path: string,
): string {
  // oxlint-disable-next-line no-control-regex
  const unsafe = /[\\:\u0000-\u001f]/.test(path) || path.length > 1000
  if (!isCommit(commit) || unsafe || !path.split('/').every((name) => !/^(\.{0,2})$/.test(name)))
    throw new UnsafeName(
      `expected a path inside a repository at a commit, got ${JSON.stringify(path)} at ${JSON.stringify(commit)}`,
    )
  return join(repositoryFolder(cache, repository), 'snapshots', commit, ...path.split('/'))
}

export function blobPath(cache: string, repository: Repository, etag: string): string {
  if (!part.test(etag)) throw new UnsafeName(`expected an ETag to name a file by, got ${etag}`)
  return join(repositoryFolder(cache, repository), 'blobs', etag)
}

/** Makes a stored blob the file of a commit, and returns its path. */
export async function link(
  cache: string,
  repository: Repository,
  { commit, path, etag }: { commit: string; path: string; etag: string },
): Promise<string> {
  const at = snapshotPath(cache, repository, commit, path)
  const blob = blobPath(cache, repository, etag)
  await mkdir(dirname(at), { recursive: true })
  const fresh = `${at}.${randomUUID()}`
  await symlink(relative(dirname(at), blob), fresh)
  await rename(fresh, at)
  return at
}

/** Files of a commit that are whole here, with `/` between folders; none where the commit is not here. */
export async function cachedFiles(
  cache: string,
  repository: Repository,
  commit: string,
): Promise<string[]> {
  const folder = dirname(snapshotPath(cache, repository, commit, '_'))
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const files: string[] = []
  for (const name of names) {
    const stats = await stat(join(folder, name)).catch(() => null) // a link whose blob is gone
    if (stats?.isFile() === true) files.push(name.split(sep).join('/'))
  }
  return files.sort()
}

/** The commit that a branch or other ref was at when it was last asked for; null where it never was. */
export async function readRef(
  cache: string,
  repository: Repository,
  revision: string,
): Promise<string | null> {
  const text = await readFile(refPath(cache, repository, revision), 'utf8').catch(() => '')
  return isCommit(text.trim()) ? text.trim() : null
}

export async function writeRef(
  cache: string,
  repository: Repository,
  revision: string,
  commit: string,
): Promise<void> {
  const at = refPath(cache, repository, revision)
  await mkdir(dirname(at), { recursive: true })
  const fresh = `${at}.${randomUUID()}.tmp`
  await writeFile(fresh, commit)
  await rename(fresh, at).catch(async (error: unknown) => {
    await rm(fresh, { force: true })
    throw error
  })
}

function refPath(cache: string, repository: Repository, revision: string): string {
  const parts = revision.split('/')
  if (!parts.every((name) => part.test(name)))
    throw new UnsafeName(`expected a branch, tag or commit, got ${JSON.stringify(revision)}`)
  return join(repositoryFolder(cache, repository), 'refs', ...parts)
}
