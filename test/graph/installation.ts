/** A GraphQL endpoint on a fresh database, its first key, and files that a run can be asked for with. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { ensureFirstKey } from '#api/accounts/keys.ts'
import type { Config } from '#api/env.ts'
import { createGraph, type GraphOptions } from '#api/graph/yoga.ts'
import { testContext } from '#test/support/context.ts'

export const endpoint = 'http://oddsmith.test/graphql'

export type Answer = {
  readonly data: any
  readonly errors?: readonly {
    readonly message: string
    readonly path?: unknown
    readonly extensions?: any
  }[]
}

type Headers = Record<string, string>

export async function install(overrides: Partial<Config> = {}, options: GraphOptions = {}) {
  const files = await mkdtemp(join(tmpdir(), 'oddsmith-files-'))
  after(() => rm(files, { recursive: true, force: true }))
  const ctx = await testContext({ roots: [files], benchmarkRoots: [files], ...overrides })
  const key = (await ensureFirstKey(ctx))!
  const graph = createGraph(ctx, options)
  const bearer = { authorization: `Bearer ${key}` }

  const post = (
    query: string,
    variables: object = {},
    headers: Headers = bearer,
  ): Promise<Response> =>
    graph.fetch(
      new Request(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query, variables }),
      }),
    )
  const ask = async (
    query: string,
    variables: object = {},
    headers: Headers = bearer,
  ): Promise<Answer> => (await (await post(query, variables, headers)).json()) as Answer

  return { ctx, key, bearer, graph, post, ask, files: await writeFiles(files) }
}

/** A model that is only looked at, preference rows and benchmark rows. */
async function writeFiles(root: string) {
  const model = join(root, 'model')
  await mkdir(model)
  await writeFile(join(model, 'config.json'), JSON.stringify({ model_type: 'llama' }))
  await writeFile(join(model, 'tokenizer.json'), '{}')
  const header = Buffer.from(
    JSON.stringify({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }),
  )
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(header.length))
  await writeFile(join(model, 'model.safetensors'), Buffer.concat([size, header, Buffer.alloc(4)]))
  const dataset = join(root, 'preferences.jsonl')
  await writeFile(dataset, '{"prompt":"a","chosen":"b","rejected":"c"}\n')
  await writeFile(join(root, 'benchmark.jsonl'), '{}\n')
  return { root, model, dataset }
}

export type Installation = Awaited<ReturnType<typeof install>>
