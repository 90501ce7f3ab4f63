import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import test from 'node:test'
import { repository } from '#api/env.ts'

/** What each part may import of ours, beside itself. The first prefix that matches a file is its part. */
const rules: readonly (readonly [part: string, allowed: readonly string[]])[] = [
  ['schema/', []],
  // Over HTTP, as anybody's program.
  ['cli/', []],
  ['api/server.ts', ['api/', 'schema/']],
  [
    'api/app.ts',
    [
      'api/web/',
      'api/graph/',
      'api/exports/',
      'api/accounts/',
      'api/runtime.ts',
      'api/artifacts.ts',
      'api/context.ts',
      'api/problem.ts',
      'schema/',
    ],
  ],
  ['api/web/', ['api/evaluation/', 'api/runs/', 'api/accounts/', 'base', 'schema/']],
  ['api/graph/', ['api/evaluation/', 'api/runs/', 'api/accounts/', 'base', 'schema/']],
  ['api/exports/', ['api/evaluation/', 'api/runs/', 'api/accounts/', 'base', 'schema/']],
  ['api/dispatch/', ['api/runs/', 'base', 'schema/']],
  ['api/runs/', ['api/evaluation/', 'api/hub/', 'base', 'schema/']],
  ['api/hub/', ['base', 'schema/']],
  ['api/evaluation/', ['base', 'schema/']],
  ['api/accounts/', ['base', 'schema/']],
  ['api/runtime.ts', ['api/runs/', 'base', 'schema/']],
  ['api/artifacts.ts', ['api/runs/', 'base', 'schema/']],
  ['api/', ['base', 'schema/']],
  ['gpu-runtime/tensor/', []],
  // Beside the wire and the specs, the catalogues that both sides must know.
  [
    'gpu-runtime/',
    [
      'gpu-runtime/',
      'schema/spec.ts',
      'schema/schedules.ts',
      'schema/protocol.ts',
      'schema/tasks.ts',
      'schema/sources.ts',
      'schema/metrics.ts',
      'schema/families.ts',
      'schema/customTask.ts',
      'schema/template.ts',
    ],
  ],
]

/** The api's leaves: what everything in it may lean on. */
const base = [
  'artifacts',
  'bell',
  'body',
  'canonical',
  'context',
  'database',
  'env',
  'postgres',
  'postgresBinaries',
  'problem',
  'processes',
].map((name) => `api/${name}.ts`)

/** gpu-runtime's own order: beside itself, a part may import these; types, which cost nothing at run time, from anywhere. */
const runtimeRules: Readonly<Record<string, readonly string[]>> = {
  training: [
    'planning',
    'inference',
    'lora',
    'models',
    'onnx',
    'quantization',
    'tensor',
    'data',
    'text',
    'files',
  ],
  evaluation: ['inference', 'lora', 'models', 'onnx', 'tensor', 'data', 'text', 'files'],
  inference: ['lora', 'models', 'onnx', 'tensor', 'data', 'text', 'files'],
  lora: ['models', 'onnx', 'tensor', 'files'],
  models: ['quantization', 'tensor', 'files'],
  doctor: ['training', 'quantization', 'models', 'onnx', 'tensor', 'files'],
  planning: ['onnx', 'tensor'],
  onnx: ['quantization', 'tensor', 'files'],
  data: ['text', 'files'],
  text: ['files'],
  quantization: ['files'],
  files: [],
}

type Import = { readonly from: string; readonly to: string; readonly types: boolean }

async function importsOf(folder: string): Promise<Import[]> {
  const found: Import[] = []
  const names = (await readdir(join(repository, folder), { recursive: true })).filter((name) =>
    name.endsWith('.ts'),
  )
  for (const name of names) {
    const from = join(folder, name).split(sep).join('/')
    const text = await readFile(join(repository, from), 'utf8')
    for (const [statement, specifier] of text.matchAll(
      /^(?:import|export)\b[^'"\n=(]*(?:\n[^'"=(]*)?from ['"]([.#][^'"]+)['"]/gm,
    )) {
      const target = specifier!.startsWith('#')
        ? specifier!.slice(1)
        : relative(repository, resolve(repository, dirname(from), specifier!))
      found.push({
        from,
        to: target.split(sep).join('/'),
        types: /^(im|ex)port type\b/.test(statement),
      })
    }
  }
  return found
}

const all = [
  ...(await importsOf('schema')),
  ...(await importsOf('api')),
  ...(await importsOf('gpu-runtime')),
  ...(await importsOf('cli')),
]

test('imports run in one direction: schema knows nothing, the api never imports the runtime, tensor imports nothing', () => {
  assert.ok(all.length > 100, `${all.length} imports were read`)
  const wrong = all.filter(({ from, to }) => {
    const [part, allowed] = rules.find(([prefix]) => from.startsWith(prefix)) ?? ['', []]
    if (part.endsWith('/') && part !== 'api/' && to.startsWith(part)) return false
    return !allowed.some((prefix) =>
      prefix === 'base' ? base.includes(to) : to.startsWith(prefix),
    )
  })
  assert.deepEqual(wrong, [])
})

test('within the runtime, models know neither LoRA nor training, and text, files and data are leaves', () => {
  const partOf = (path: string) => /^gpu-runtime\/(\w+)\//.exec(path)?.[1]
  const wrong = all.filter(({ from, to, types }) => {
    if (types) return false
    const [part, other] = [partOf(from), partOf(to)]
    return (
      part !== undefined &&
      other !== undefined &&
      part !== other &&
      runtimeRules[part]?.includes(other) === false
    )
  })
  assert.deepEqual(wrong, [])
})

test('no file imports itself through others', () => {
  const next = Map.groupBy(
    all.filter(({ types }) => !types),
    ({ from }) => from,
  )
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file) || mutual.has(file), [...path, file].join(' -> '))
    if (done.has(file) || path.includes(file)) return
    for (const { to } of next.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
})

/** Tables refer to each other in both directions, through functions that are called later. */
const mutual = new Set(['schema/runs.ts', 'schema/models.ts'])
