/** The pretended runtime as a process of its own, started by the process launcher: `node fakeRuntime.ts '{"steps": 20, …}'`. */
import { existsSync, writeFileSync } from 'node:fs'
import { connect } from '#gpu-runtime/client.ts'
import { Reporter } from '#gpu-runtime/report.ts'
import { pretend } from './runtime.ts'

export type FakeOptions = {
  readonly steps?: number
  readonly stepTime?: number
  readonly checkpointEvery?: number
  readonly documents?: number
  /** kill -9 of itself before this step, in its first attempt. */
  readonly dieAt?: number
  /** Takes no notice of SIGTERM, nor of the api's wish that it ends. */
  readonly deaf?: boolean
  /** Prints this and exits with code 7, in every attempt. */
  readonly crash?: string
  /** Writes the names of its environment variables to this file. */
  readonly environment?: string
  /** Its pid is written to this file when it starts. */
  readonly pidFile?: string
  /** It does not begin before this file exists. */
  readonly waitFor?: string
}

const options = JSON.parse(process.argv[2] ?? '{}') as FakeOptions
const { steps = 20, stepTime = 10, checkpointEvery = 5, documents = 5 } = options
if (options.environment)
  writeFileSync(options.environment, JSON.stringify(Object.keys(process.env)))
if (options.pidFile) writeFileSync(options.pidFile, String(process.pid))
while (options.waitFor && !existsSync(options.waitFor))
  await new Promise((resolve) => setTimeout(resolve, 20))
if (options.crash) {
  console.error(options.crash)
  process.exit(7)
}

console.log('fake runtime starts')
const client = connect(process.env)
const job = await client.job()
const report = new Reporter(client, { leaseSeconds: job.leaseSeconds, gather: 30 })
const terminated = new AbortController()
process.on('SIGTERM', () => options.deaf || terminated.abort())
const signal = options.deaf
  ? new AbortController().signal
  : AbortSignal.any([report.signal, terminated.signal])
const beforeStep = (step: number) => {
  if (step === options.dieAt && job.attempt === 1) process.kill(process.pid, 'SIGKILL')
}
await pretend(client, report, job, {
  steps,
  stepTime,
  checkpointEvery,
  documents,
  signal,
  beforeStep,
})
