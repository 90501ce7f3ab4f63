/** Files that a run can name, and an account that asks. The model is only ever looked at: fake runtimes run no engine. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Actor } from '#api/context.ts'
import type { Db } from '#api/database.ts'
import type { TrainInput } from '#api/runs/create.ts'
import { accounts } from '#schema/tables.ts'

export type Files = {
  readonly root: string
  readonly model: string
  readonly dataset: string
  readonly rows: string
}

/** Removed after the file's last test. `documents` is the number of benchmark rows. */
export async function makeFiles(documents = 5): Promise<Files> {
  const root = await mkdtemp(join(tmpdir(), 'oddsmith-files-'))
  after(() => rm(root, { recursive: true, force: true }))
  const files = {
    root,
    model: join(root, 'model'),
    dataset: join(root, 'pairs.jsonl'),
    rows: join(root, 'benchmark.jsonl'),
  }
  await mkdir(files.model)
  await writeFile(join(files.model, 'config.json'), JSON.stringify({ model_type: 'llama' }))
  await writeFile(join(files.model, 'tokenizer.json'), '{}')
  await writeFile(join(files.model, 'model.safetensors'), safetensors({ w: [2, 3] }))
  await writeFile(files.dataset, '{"prompt":"a","chosen":"b","rejected":"c"}\n')
  await writeFile(files.rows, '{}\n'.repeat(documents))
  return files
}

/** Float32 zeros of these shapes, in the format's layout: length, header, data. */
export function safetensors(shapes: Readonly<Record<string, readonly number[]>>): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1)
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + bytes] }
    end += bytes
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(end)])
}

export async function makeActor(db: Db, name = 'tester'): Promise<Actor> {
  const [account] = await db.insert(accounts).values({ name }).returning()
  return { accountId: account!.id }
}

let keys = 0

/** A training with one task of the embedded benchmark; a new idempotency key each time. */
export const trainInput = (files: Files, more: Partial<TrainInput> = {}): TrainInput => ({
  idempotencyKey: `key ${++keys}`,
  model: { path: files.model },
  dataset: { path: files.dataset },
  evaluate: { tasks: [{ task: 'who_is_bigger' }] },
  ...more,
})
