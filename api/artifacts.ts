/** Artifacts on the local disk: `<home>/artifacts/<run id>/<artifact id>`. The row comes last: what has a row is on disk, checked. */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { and, eq, isNull } from 'drizzle-orm'
import { z } from 'zod'
import { ArtifactKind, type ArtifactRef } from '#schema/protocol.ts'
import { artifacts } from '#schema/tables.ts'
import type { Config } from './env.ts'
import type { Db } from './database.ts'
import { InvalidInput, NotFound, TooLarge } from './problem.ts'
import { holdActiveAttempt, renew } from './runs/attempt.ts'
import { toRef } from './runs/job.ts'

/** The query of an upload. Names are file names: no folders, no hidden files. */
export const UploadQuery = z.object({
  kind: ArtifactKind,
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9_][\w.-]{0,127}$/,
      'expected a file name of letters, digits, dots, dashes and underscores',
    ),
  step: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .nullable()
    .default(null),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected a lower-case sha256 in hex'),
})
export type UploadQuery = z.infer<typeof UploadQuery>

/** Files that runtimes hand in. */
export type Artifacts = {
  /** Returns when the bytes are on disk and checked. The same content again is the same artifact. */
  store(token: string, query: UploadQuery, body: AsyncIterable<Uint8Array>): Promise<ArtifactRef>
  /** NotFound where the file was deleted since. */
  read(artifact: Owned): Promise<{ readonly bytes: number; stream(): NodeJS.ReadableStream }>
  /** Deletes files; their rows are gone already. */
  remove(gone: readonly Owned[]): Promise<void>
}

/** A file is in the folder of its run, or of the imported adapter that it is of. */
type Owned = {
  readonly id: string
  readonly runId: string | null
  readonly adapterId?: string | null
}

/** Makes the folders under `config.home` and clears away uploads that were never finished. */
export async function openArtifacts(ctx: {
  readonly config: Config
  readonly db: Db
}): Promise<Artifacts> {
  const { config, db } = ctx
  const root = join(config.home, 'artifacts')
  const incoming = join(root, 'incoming')
  await mkdir(incoming, { recursive: true, mode: 0o700 })
  await sweep(incoming)
  const place = ({ runId, adapterId, id }: Owned) => join(root, (runId ?? adapterId)!, id)

  return {
    async store(token, query, body) {
      // Asked before the bytes are taken, and again when they are there: an upload may outlive its attempt.
      await db.transaction((tx) => holdActiveAttempt(tx, token))
      const id = randomUUID()
      const partial = join(incoming, id)
      try {
        const bytes = await receive(partial, query, body, config.limits.artifactBytes)
        return await db.transaction(async (tx) => {
          const run = await holdActiveAttempt(tx, token)
          await renew(tx, run, config.leaseSeconds)
          const { kind, name, step, sha256 } = query
          const same = and(
            eq(artifacts.runId, run.id),
            eq(artifacts.attempt, run.attempt),
            eq(artifacts.kind, kind),
            eq(artifacts.name, name),
            eq(artifacts.sha256, sha256),
            step === null ? isNull(artifacts.step) : eq(artifacts.step, step),
          )
          const [before] = await tx.select().from(artifacts).where(same)
          if (before !== undefined) return toRef(before)
          await mkdir(join(root, run.id), { recursive: true })
          await rename(partial, place({ runId: run.id, id }))
          await syncFolder(join(root, run.id))
          const [row] = await tx
            .insert(artifacts)
            .values({ id, runId: run.id, attempt: run.attempt, kind, name, step, sha256, bytes })
            .returning()
          return toRef(row!)
        })
      } finally {
        await rm(partial, { force: true })
      }
    },

    async read(artifact) {
      const { id } = artifact
      const file = place(artifact)
      const { size } = await stat(file).catch((cause) => {
        throw new NotFound(`artifact ${id} is no longer kept`, { cause })
      })
      return { bytes: size, stream: () => createReadStream(file) }
    },

    async remove(gone) {
      for (const artifact of gone) await rm(place(artifact), { force: true })
    },
  }
}

/** A copy of a file of this machine among the files of an imported adapter. Its row is the caller's to insert. */
export async function copyArtifact(
  { home, limits }: Pick<Config, 'home' | 'limits'>,
  adapterId: string,
  from: string,
): Promise<{ readonly id: string; readonly sha256: string; readonly bytes: number }> {
  const id = randomUUID()
  const [partial, folder] = [
    join(home, 'artifacts/incoming', id),
    join(home, 'artifacts', adapterId),
  ]
  await Promise.all([dirname(partial), folder].map((path) => mkdir(path, { recursive: true })))
  try {
    const body = createReadStream(from)
    const written = await write(partial, basename(from), body, limits.artifactBytes)
    await rename(partial, join(folder, id))
    await syncFolder(folder)
    return { id, ...written }
  } finally {
    await rm(partial, { force: true })
  }
}

/** Deletes the files of an adapter whose import came to nothing. */
export const removeCopies = ({ home }: Pick<Config, 'home'>, adapterId: string): Promise<void> =>
  rm(join(home, 'artifacts', adapterId), { recursive: true, force: true })

/** Writes to a temporary file and checks what arrived; returns its size in bytes. */
async function receive(
  partial: string,
  { sha256, name }: UploadQuery,
  body: AsyncIterable<Uint8Array>,
  most: number,
): Promise<number> {
  const { bytes, sha256: got } = await write(partial, name, body, most)
  if (got !== sha256) {
    throw new InvalidInput([
      {
        path: ['sha256'],
        message: `artifact ${name}: expected ${sha256}, got ${got} over ${bytes} bytes`,
      },
    ])
  }
  return bytes
}

/** Streams to a new file and syncs it. */
async function write(
  partial: string,
  name: string,
  body: AsyncIterable<Uint8Array>,
  most: number,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const file = await open(partial, 'wx', 0o600)
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength
      if (bytes > most) throw new TooLarge(`artifact ${name}: expected at most ${most} bytes`)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** A rename is durable when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  await handle.sync().catch(() => {})
  await handle.close()
}

/** Uploads that a killed api left unfinished; nobody waits for them. Another api's are younger than a day. */
async function sweep(incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const { mtimeMs } = await stat(join(incoming, name)).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > 86_400_000) await rm(join(incoming, name), { force: true })
  }
}
