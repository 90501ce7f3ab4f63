/** A runtime as a process of its own, with a stand-in for the api that hands it a job, keeps its events and throws its files away. */
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { EventBatch, EventType, Job, RunEvent } from '#schema/protocol.ts'
import type { RunSpec } from '#schema/spec.ts'

/** What a runtime did. Times are in seconds since the process was started. */
export type Measured = {
  readonly events: readonly RunEvent[]
  /** When the first event that `wanted` was said; NaN where none was. */
  time(wanted: (event: RunEvent) => boolean): number
  /** The most memory that the process held, in MB (VmHWM), and its CPU time in seconds. */
  readonly peak: number
  readonly cpu: number
}

const main = join(import.meta.dirname, '../gpu-runtime/main.ts')
const endings: ReadonlySet<EventType> = new Set(['finished', 'failed', 'interrupted'])

/** Runs a spec to its end in a fresh process. Throws with the runtime's message where it failed. */
export async function runProcess(spec: RunSpec): Promise<Measured> {
  const job: Job = {
    runId: randomUUID(),
    attempt: 1,
    spec,
    checkpoint: null,
    adapter: [],
    start: [],
    evaluations: [],
    trainedOn: [],
    leaseSeconds: 60,
  }
  const events: RunEvent[] = []
  let [peak, cpu, pid] = [NaN, NaN, 0]
  const server = createServer(async (request, response) => {
    const body = await bytes(request)
    const answer = async (): Promise<unknown> => {
      if (request.url === '/runtime/job') return job
      if (request.method === 'PUT') {
        const { searchParams: query } = new URL(request.url!, 'http://runtime')
        const step = query.get('step')
        return {
          id: randomUUID(),
          kind: query.get('kind'),
          name: query.get('name'),
          sha256: createHash('sha256').update(body).digest('hex'),
          bytes: body.length,
          step: step === null ? null : Number(step),
        }
      }
      const batch = JSON.parse(body.toString()) as EventBatch
      events.push(...batch.events)
      // Before the answer: it exits when it knows that its last event has arrived.
      if (batch.events.some(({ type }) => endings.has(type))) [peak, cpu] = await usage(pid)
      return { acknowledged: events.at(-1)?.seq ?? 0, leaseSeconds: 60, cancel: false }
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(await answer()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const begin = Date.now()
  const child = spawn(process.execPath, [main], {
    stdio: 'inherit',
    env: { ...process.env, ODDSMITH_URL: `http://127.0.0.1:${port}`, ODDSMITH_TOKEN: 'bench' },
  })
  pid = child.pid!
  const [code] = (await once(child, 'exit')) as [number | null]
  server.close()
  const failed = events.find((e) => e.type === 'failed')
  if (failed !== undefined) throw new Error(`the runtime failed: ${failed.body.message}`)
  if (code !== 0) throw new Error(`the runtime exited with ${code}`)
  return {
    events,
    peak,
    cpu,
    time(wanted) {
      const found = events.find(wanted)
      return found === undefined ? NaN : (Date.parse(found.at) - begin) / 1000
    },
  }
}

async function bytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Peak resident memory in MB and CPU seconds of a process, from Linux's /proc; NaN elsewhere. */
async function usage(pid: number): Promise<[number, number]> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12]) // utime, stime, in hundredths of a second
    return [Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1000, ticks / 100]
  } catch {
    return [NaN, NaN]
  }
}
