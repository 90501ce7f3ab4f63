/** Starting and stopping an api: `npm run serve`, or `startServer` for whoever needs one inside a process. */
import { mkdir } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import pino from 'pino'
import { ensureFirstKey } from './accounts/keys.ts'
import { createApp, type AppContext } from './app.ts'
import { openArtifacts } from './artifacts.ts'
import { openBell } from './bell.ts'
import { migrate, openDatabase } from './database.ts'
import { startDispatcher, type Dispatcher, type DispatcherOptions } from './dispatch/dispatcher.ts'
import type { Launcher } from './dispatch/launcher.ts'
import { createProcessLauncher } from './dispatch/processLauncher.ts'
import { readConfig, type Config } from './env.ts'
import { startPostgres } from './postgres.ts'

export type ServerOptions = Partial<Pick<DispatcherOptions, 'grace' | 'poll'>> & {
  /** Where runs start; by default as child processes of this machine. */
  readonly launcher?: Launcher
  readonly log?: pino.Logger
}

export type RunningServer = {
  /** Where it listens, without a slash at the end. */
  readonly url: string
  readonly context: AppContext
  readonly dispatcher: Dispatcher
  /** The clear first API key, when this start made it: it cannot be read again. */
  readonly firstKey: string | null
  /** Settles when the embedded database ended by itself: nothing works any more. */
  readonly lost: Promise<Error>
  /** Drains: runtimes write a checkpoint and their runs wait in the queue; then everything closes. May be called again. */
  close(): Promise<void>
}

export async function startServer(
  config: Config,
  options: ServerOptions = {},
): Promise<RunningServer> {
  await mkdir(config.home, { recursive: true })
  const log = options.log ?? pino({ level: config.logLevel })
  // In the order of starting; undone in reverse, also when a later step fails.
  const undo: (() => Promise<unknown>)[] = []
  const close = once(async () => {
    for (const step of undo.reverse())
      await step().catch((error: unknown) => log.error({ err: error }, 'could not close'))
  })
  try {
    let url = config.databaseUrl
    let lost: Promise<Error> = new Promise(() => {})
    if (url === null) {
      const postgres = await startPostgres(config.home)
      undo.push(() => postgres.stop())
      url = postgres.url
      lost = postgres.lost
    }
    const database = await openDatabase(url)
    undo.push(() => database.close())
    await migrate(database)
    const bell = await openBell(url)
    undo.push(() => bell.close())
    const { db, pool } = database
    const artifacts = await openArtifacts({ config, db })
    let serving = true
    const context: AppContext = { config, db, pool, log, bell, artifacts, serving: () => serving }
    const firstKey = await ensureFirstKey(context)

    const { server, address } = await listen(createApp(context), config)
    undo.push(() => stop(server))
    const launcher = options.launcher ?? createProcessLauncher({ home: config.home })
    const dispatcher = startDispatcher(context, {
      ...options,
      launcher,
      url: config.publicUrl ?? address,
    })
    // Before the server: runtimes say goodbye to it.
    undo.push(() => dispatcher.drain())
    undo.push(async () => void (serving = false))
    log.info(
      {
        url: address,
        home: config.home,
        database: config.databaseUrl === null ? 'embedded' : 'given',
      },
      'serving',
    )
    return { url: address, context, dispatcher, firstKey, lost, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function listen(
  app: ReturnType<typeof createApp>,
  config: Config,
): Promise<{ server: Server; address: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>()
  const server = serve(
    { fetch: app.fetch, hostname: config.host, port: config.port, overrideGlobalObjects: false },
    resolve,
  ) as Server
  server.once('error', (cause) =>
    reject(new Error(`cannot listen on ${config.host}:${config.port}`, { cause })),
  )
  // An upload of many gigabytes takes longer than the default five minutes.
  server.requestTimeout = 6 * 3600 * 1000
  const { port } = await promise
  const anywhere = config.host === '0.0.0.0' || config.host === '::'
  const host = anywhere ? '127.0.0.1' : config.host.includes(':') ? `[${config.host}]` : config.host
  return { server, address: `http://${host}:${port}` }
}

/** Subscriptions stay open for as long as they may, so what is left after a second is cut. */
async function stop(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), 1000)
  await closed
  clearTimeout(cut)
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => (running ??= work())
}

async function main(): Promise<void> {
  const server = await startServer(readConfig(process.env))
  const { log } = server.context
  // Not through the log: a key belongs to whoever sits here, not to whoever keeps logs.
  if (server.firstKey !== null)
    process.stderr.write(`\nThe first API key, shown only now: ${server.firstKey}\n\n`)
  let asked = 0
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (asked === 0) {
        asked = Date.now()
        log.info(
          { signal, running: server.dispatcher.active() },
          'stopping: runs are interrupted and go on later',
        )
        void server.close().then(() => process.exit(0))
        // npm passes Ctrl-C on a second time; a person's second one comes later, and means now.
      } else if (Date.now() - asked > 500) process.exit(130)
    })
  }
  const error = await server.lost
  log.fatal({ err: error }, 'the database is gone')
  process.exit(1)
}

if (import.meta.main) {
  await main().catch((error: Error) => {
    process.stderr.write(
      `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}\n`,
    )
    process.exitCode = 1
  })
}
