/** A whole api as a process, configured by the environment, whose runtimes are pretended: `node holdServer.ts '<fake options>'`. */
import { join } from 'node:path'
import { createProcessLauncher } from '#api/dispatch/processLauncher.ts'
import { readConfig } from '#api/env.ts'
import { startServer } from '#api/server.ts'

const config = readConfig(process.env)
const command = [
  process.execPath,
  join(import.meta.dirname, 'fakeRuntime.ts'),
  process.argv[2] ?? '{}',
]
const launcher = createProcessLauncher({ home: config.home, command })
const server = await startServer(config, { launcher, poll: 100 })
process.on('SIGTERM', () => void server.close().then(() => process.exit(0)))
console.log(server.url)
