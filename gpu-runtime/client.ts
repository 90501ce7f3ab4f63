/** The runtime's side of the wire: schema/protocol.ts over fetch. All it needs is a URL and an attempt's token. */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, openAsBlob } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  Acknowledgement,
  ArtifactRef,
  Job,
  KnownAnswer,
  type EventBatch,
  type KnownQuestion,
} from '#schema/protocol.ts'

/** The attempt has lost its run, or its token was never one: stop, and say nothing more. */
export class Lost extends Error {
  override readonly name = 'Lost'
}

/** The api understood and said no; saying it again would not help. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

export type Upload = {
  readonly kind: ArtifactRef['kind']
  readonly name?: string
  readonly step?: number | null
}

export type Client = {
  job(): Promise<Job>
  /** One try; whoever posts decides about the next. */
  post(batch: EventBatch): Promise<Acknowledgement>
  /** Which of these documents need no computing. */
  known(question: KnownQuestion): Promise<KnownAnswer>
  /** A file's path, or bytes. Returns when the api has it on disk, checked. */
  upload(source: string | Uint8Array, upload: Upload): Promise<ArtifactRef>
  /** To a file, checked against its sha256; the file is there when all of it is. */
  download(artifact: Pick<ArtifactRef, 'id' | 'name' | 'sha256'>, path: string): Promise<void>
}

export type ConnectOptions = {
  /** Milliseconds for which an api that does not answer is asked again. */
  readonly patience?: number
}

/** From ODDSMITH_URL and ODDSMITH_TOKEN. */
export function connect(
  env: NodeJS.ProcessEnv,
  { patience = 15 * 60_000 }: ConnectOptions = {},
): Client {
  const { ODDSMITH_URL: url, ODDSMITH_TOKEN: token } = env
  if (!url || !token) throw new Error('expected ODDSMITH_URL and ODDSMITH_TOKEN in the environment')
  // Output goes through pipes of the api that started us. If that api is killed they break, and the run goes on.
  for (const stream of [process.stdout, process.stderr])
    if (stream.listenerCount('error') === 0) stream.on('error', () => {})

  async function call(path: string, init: RequestInit, timeout: number): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${token}`)
    const response = await fetch(`${url}/runtime${path}`, {
      ...init,
      headers,
      signal: AbortSignal.timeout(timeout),
    })
    if (response.ok) return response
    const text = (await response.text().catch(() => '')).slice(0, 2000)
    const message = `${init.method ?? 'GET'} /runtime${path.replace(/\?.*/, '')}: ${response.status} ${text}`
    if (response.status === 401 || response.status === 409) throw new Lost(message)
    const mayPass = response.status >= 500 || response.status === 408 || response.status === 429
    throw mayPass ? new Error(message) : new Refused(message)
  }

  async function persist<T>(work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + patience
    for (let tries = 0; ; tries++) {
      try {
        return await work()
      } catch (error) {
        if (error instanceof Lost || error instanceof Refused || Date.now() > deadline) throw error
        await sleep(backoff(tries))
      }
    }
  }

  return {
    async job() {
      const answer: unknown = await persist(async () => (await call('/job', {}, 30_000)).json())
      return Job.parse(answer)
    },

    async post(batch) {
      return Acknowledgement.parse(await (await call('/events', posted(batch), 30_000)).json())
    },

    async known(question) {
      const answer: unknown = await persist(async () =>
        (await call('/known', posted(question), 60_000)).json(),
      )
      return KnownAnswer.parse(answer)
    },

    async upload(source, { kind, name, step }) {
      const isFile = typeof source === 'string'
      const sha256 = await digest(
        isFile ? createReadStream(source, { highWaterMark: 1 << 20 }) : [source],
      )
      const query = new URLSearchParams({
        kind,
        name: name ?? (isFile ? basename(source) : kind.toLowerCase()),
        sha256,
      })
      if (step != null) query.set('step', String(step))
      return persist(async () => {
        const body = isFile
          ? await openAsBlob(source)
          : new Blob([source as Uint8Array<ArrayBuffer>])
        return ArtifactRef.parse(
          await (await call(`/artifacts?${query}`, { method: 'PUT', body }, hour)).json(),
        )
      })
    },

    async download({ id, name, sha256 }, path) {
      const partial = `${path}.${randomUUID()}`
      try {
        await persist(async () => {
          const response = await call(`/artifacts/${id}`, {}, hour)
          await pipeline(Readable.fromWeb(response.body! as never), createWriteStream(partial))
          const got = await digest(createReadStream(partial, { highWaterMark: 1 << 20 }))
          if (got !== sha256)
            throw new Error(`artifact ${name}: expected sha256 ${sha256}, got ${got}`)
        })
        await rename(partial, path)
      } finally {
        await rm(partial, { force: true })
      }
    },
  }
}

const hour = 3_600_000

const posted = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

/** Milliseconds before try `tries + 1`: a quarter of a second, doubling, at most `most`, each between half and all of it. */
export const backoff = (tries: number, most = 5000): number =>
  Math.min(most, 250 * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2)

async function digest(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
