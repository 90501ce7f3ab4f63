/** Which files of this machine a client may name: those inside the roots, and not through a link that leads out of them. */
import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { InvalidInput } from '../problem.ts'

/**
 * The real path behind `path`, which may be relative to the api's working directory. InvalidInput at `at` where it is outside
 * the roots, absent, or not of the wanted kind; what is outside is never looked at.
 */
export async function insideRoots(
  roots: readonly string[],
  path: string,
  kind: 'file' | 'directory',
  at: readonly string[],
): Promise<string> {
  const wrong = (message: string) => new InvalidInput([{ path: at, message }])
  const allowed = `a ${kind} inside ${roots.join(' or ')}`
  if (path === '' || path.includes('\0'))
    throw wrong(`expected ${allowed}, got ${JSON.stringify(path)}`)
  const named = resolve(path)
  const real = await realRoots(roots)
  if (![...roots, ...real].some((root) => contains(root, named)))
    throw wrong(`expected ${allowed}, got ${path}`)
  const found = await realpath(named).catch(() => null)
  if (found === null) throw wrong(`expected ${allowed}; there is no ${path}`)
  if (!real.some((root) => contains(root, found)))
    throw wrong(`expected ${allowed}; ${path} is a link that leads out of it`)
  const stats = await stat(found)
  if (kind === 'file' ? !stats.isFile() : !stats.isDirectory())
    throw wrong(`expected ${allowed}; ${path} is not a ${kind}`)
  return found
}

const realRoots = async (roots: readonly string[]): Promise<string[]> =>
  (await Promise.all(roots.map((root) => realpath(root).catch(() => null)))).filter(
    (root) => root !== null,
  )

function contains(root: string, path: string): boolean {
  const inner = relative(root, path)
  return inner === '' || (inner !== '..' && !inner.startsWith(`..${sep}`) && !isAbsolute(inner))
}
