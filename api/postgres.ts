/**
 * The embedded Postgres: a real server, private to one `home`, on a free port of the loopback interface.
 *
 *   <home>/postgres/data       made once, reused by every later start
 *   <home>/postgres/password   random, mode 0600
 *   <home>/postgres/log        what the server says
 *
 * One api per home: an advisory lock says who it is. A second one is refused; a server whose api was killed is adopted.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import {
  chmod,
  chown,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { binaries, launchAs, type Launch } from './postgresBinaries.ts'
import { isAlive } from './processes.ts'

const user = 'oddsmith'
const homeLock = 0x6f6464

export type EmbeddedPostgres = {
  /** Of the database `oddsmith` on it, with the password. */
  readonly url: string
  /** Settles when the server ends without having been asked to. */
  readonly lost: Promise<Error>
  stop(): Promise<void>
}

export type PostgresOptions = {
  /** More `-c name=value` settings of the server. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Starts the server of this home, or adopts the one that a killed api left running. */
export async function startPostgres(
  home: string,
  options: PostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const folder = join(home, 'postgres')
  const data = join(folder, 'data')
  await mkdir(folder, { recursive: true })
  const native = await binaries()
  const launch = await launchAs(native, folder, await ownerOf(data))
  if (launch.uid !== null) await chown(folder, launch.uid, -1)
  await chmod(folder, 0o700)
  const password = await readOrMakePassword(folder, launch)
  if ((await ownerOf(data)) === null) await initialise(native, folder, launch)

  for (let tries = 1; ; tries++) {
    const server = (await running(data)) ?? (await serve(native, folder, launch, options))
    const login = { host: '127.0.0.1', port: server.port, user, password }
    const lock = await connect(
      { ...login, database: 'postgres', application_name: 'oddsmith home' },
      server,
    )
    if (lock !== null) return await takeHome(lock, home, server, login)
    // The server ended while it was awaited: it was stopping, or another api's took the folder first.
    if (tries === 4)
      throw new Error(
        `embedded Postgres: ended while starting: ${await lastLines(join(folder, 'log'))}`,
      )
    await sleep(500 * tries)
  }
}

type Server = { readonly pid: number; readonly port: number; readonly child: ChildProcess | null }
type Login = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}

async function takeHome(
  lock: pg.Client,
  home: string,
  server: Server,
  login: Login,
): Promise<EmbeddedPostgres> {
  const { rows } = await lock.query('select pg_try_advisory_lock($1) as mine', [homeLock])
  if (!rows[0].mine) {
    await lock.end()
    throw new Error(
      `${home} is in use by another Oddsmith that is running; stop it, or set ODDSMITH_HOME to another folder`,
    )
  }
  const { rowCount } = await lock.query('select from pg_database where datname = $1', [user])
  if (rowCount === 0) await lock.query(`create database ${user}`)

  let stopping = false
  const { promise: lost, resolve: lose } = Promise.withResolvers<Error>()
  lock.on('error', () => {})
  lock.on(
    'end',
    () =>
      stopping || lose(new Error(`embedded Postgres: the server (process ${server.pid}) ended`)),
  )
  // Whatever ends this process, its server goes too; a killed process leaves it to be adopted.
  const onExit = () => interrupt(server.pid, 'SIGINT')
  process.once('exit', onExit)
  return {
    url: `postgres://${user}:${login.password}@${login.host}:${login.port}/${user}`,
    lost,
    async stop() {
      stopping = true
      process.off('exit', onExit)
      await lock.end().catch(() => {})
      interrupt(server.pid, 'SIGINT')
      if (!(await ended(server, 20_000))) interrupt(server.pid, 'SIGQUIT')
      await ended(server, 5_000)
    },
  }
}

/** The server that postmaster.pid names, if it lives; a stale file is removed. Lines: 1 pid, 2 data directory, 4 port. */
async function running(data: string): Promise<Server | null> {
  const file = join(data, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return null
  if (isAlive(pid, 'postgres')) return { pid, port: Number(lines[3]), child: null }
  await rm(file, { force: true })
  return null
}

async function serve(
  native: string,
  folder: string,
  launch: Launch,
  options: PostgresOptions,
): Promise<Server> {
  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...options.settings,
  }
  const log = join(folder, 'log')
  const { size } = await stat(log).catch(() => ({ size: 0 }))
  if (size > 10 << 20) await truncate(log)
  const args = ['-D', join(folder, 'data'), '-p', String(port)]
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`)
  const output = openSync(log, 'a', 0o600)
  try {
    // Its own session: Ctrl-C in a terminal reaches the api, and the api stops the server last.
    const child = start(launch, join(native, 'bin', 'postgres'), args, output)
    child.unref()
    await spawned(child)
    return { pid: child.pid!, port, child }
  } finally {
    closeSync(output)
  }
}

/** initdb into a folder beside, renamed when complete: an interrupted one leaves nothing that looks like a database. */
async function initialise(native: string, folder: string, launch: Launch): Promise<void> {
  const making = join(folder, `making-${process.pid}`)
  const log = join(folder, 'log')
  await rm(making, { recursive: true, force: true })
  const args = ['-D', making, '-U', user, '--encoding=UTF8', '--locale=C', '--auth=scram-sha-256']
  args.push(`--pwfile=${join(folder, 'password')}`)
  const output = openSync(log, 'a', 0o600)
  const child = start(launch, join(native, 'bin', 'initdb'), args, output)
  closeSync(output)
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('exit', resolve),
  )
  if (code !== 0) {
    await rm(making, { recursive: true, force: true })
    throw new Error(`embedded Postgres: initdb ended with ${code}: ${await lastLines(log)}`)
  }
  await rename(making, join(folder, 'data')).catch(async (cause: NodeJS.ErrnoException) => {
    // Another api made it in the same moment.
    await rm(making, { recursive: true, force: true })
    if (cause.code !== 'ENOTEMPTY' && cause.code !== 'EEXIST') throw cause
  })
}

function start(
  launch: Launch,
  program: string,
  args: readonly string[],
  output: number,
): ChildProcess {
  const [command, ...rest] = [...launch.command, program, ...args]
  const env = { PATH: process.env['PATH'], LC_ALL: 'C' }
  return spawn(command!, rest, {
    ...launch.options,
    env,
    detached: true,
    stdio: ['ignore', output, output],
  })
}

const spawned = (child: ChildProcess) =>
  new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject))

/** Until the server accepts; null when it has ended. */
async function connect(config: pg.ClientConfig, server: Server): Promise<pg.Client | null> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const client = new pg.Client(config)
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (cause) {
      await client.end().catch(() => {})
      const { code } = cause as { code?: string }
      // 57P03: starting up or shutting down.
      const early = code === '57P03' || code === 'ECONNREFUSED' || code === 'ECONNRESET'
      if (await ended(server, 50)) return null
      if (!early || Date.now() > deadline)
        throw new Error(`embedded Postgres: no connection to port ${server.port}`, { cause })
    }
  }
}

async function ended({ pid, child }: Server, milliseconds: number): Promise<boolean> {
  const deadline = Date.now() + milliseconds
  const gone = () =>
    child === null
      ? !isAlive(pid, 'postgres')
      : child.exitCode !== null || child.signalCode !== null
  while (!gone() && Date.now() < deadline) await sleep(25)
  return gone()
}

function interrupt(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

async function readOrMakePassword(folder: string, { uid }: Launch): Promise<string> {
  const file = join(folder, 'password')
  const made = randomBytes(24).toString('hex')
  await writeFile(file, made, { mode: 0o600, flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause
  })
  if (uid !== null) await chown(file, uid, -1)
  return (await readFile(file, 'utf8')).trim()
}

async function ownerOf(data: string): Promise<number | null> {
  return stat(data).then(
    ({ uid }) => uid,
    () => null,
  )
}

async function lastLines(log: string): Promise<string> {
  return (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-4).join(' | ')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
