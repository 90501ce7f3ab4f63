/** Bad input: a problem where the mutation can see it, else a run that failed once with code INPUT; either says what, where, and what was expected. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { baseModels, datasets, runs } from '#schema/tables.ts'
import { taskNames } from '#schema/tasks.ts'
import { embedded } from '#demo/embedded.ts'
import { install, smallTraining } from './installation.ts'

const there = await install({ concurrency: 2 })
const { db } = there.server.context
const outside = await mkdtemp(join(tmpdir(), 'oddsmith-outside-'))
after(() => rm(outside, { recursive: true, force: true }))

type Input = typeof smallTraining & Record<string, unknown>
let made = 0

/** A copy of the embedded model of which one file is changed. */
async function model(file: string, change: (bytes: Buffer) => Buffer | string): Promise<object> {
  const path = join(there.inputs, `model-${++made}`)
  await cp(embedded.model, path, { recursive: true })
  await writeFile(join(path, file), change(await readFile(join(path, file))))
  return { model: { path } }
}

const json = (change: (value: any) => void) => (bytes: Buffer) => {
  const value = JSON.parse(bytes.toString())
  change(value)
  return JSON.stringify(value)
}

/** The file with another header before the same data. */
const header = (change: (text: string) => string) => (bytes: Buffer) => {
  const end = 8 + Number(bytes.readBigUInt64LE())
  const text = Buffer.from(change(bytes.subarray(8, end).toString()))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, bytes.subarray(end)])
}

async function rows(name: string, text: string): Promise<string> {
  const path = join(there.inputs, `${++made}-${name}`)
  await writeFile(path, text)
  return path
}

const dataset = async (text: string) => ({ dataset: { path: await rows('pairs.jsonl', text) } })
const benchmark = async (text: string) => ({
  evaluate: { tasks: [{ task: 'who_is_bigger', rows: await rows('benchmark.jsonl', text) }] },
})
const recipe = (values: Partial<Record<keyof Input['recipe'], number>>) => ({
  recipe: { ...smallTraining.recipe, ...values },
})
const good =
  '{"prompt":"Kai, which is bigger, the ant or the horse?","chosen":"the horse","rejected":"the ant"}\n'

type Case = readonly [what: string, change: () => Promise<object> | object, message: RegExp]

/** Seen before anything starts: `path` is the place in the input. */
const refused: readonly (readonly [...Case, path: string])[] = [
  [
    'a safetensors header that is not JSON',
    () =>
      model(
        'model.safetensors',
        header((text) => text.replace('{', '[')),
      ),
    /model-\d+: model\.safetensors: expected a safetensors header in JSON/,
    'model.path',
  ],
  [
    'a file that is no safetensors file',
    () => model('model.safetensors', () => '<!doctype html>'),
    /model\.safetensors: expected a safetensors header, got a file of 15 bytes/,
    'model.path',
  ],
  [
    'a config.json that is not JSON',
    () => model('config.json', (bytes) => bytes.subarray(0, 100)),
    /config\.json: expected a JSON object with model_type/,
    'model.path',
  ],
  [
    'another model type',
    () =>
      model(
        'config.json',
        json((config) => (config.model_type = 'mamba')),
      ),
    /config\.json: expected model_type to be one of llama, .*, got "mamba"/,
    'model.path',
  ],
  [
    'a dataset that does not exist',
    () => ({ dataset: { path: join(there.inputs, 'absent.jsonl') } }),
    /expected a file inside .*; there is no .*absent\.jsonl/,
    'dataset.path',
  ],
  [
    'a dataset outside the roots',
    async () => {
      await writeFile(join(outside, 'pairs.jsonl'), good)
      return { dataset: { path: join(outside, 'pairs.jsonl') } }
    },
    /expected a file inside .*, got .*oddsmith-outside-.*pairs\.jsonl/,
    'dataset.path',
  ],
  [
    'a path that climbs out of the roots',
    () => ({ dataset: { path: `${there.inputs}/../../etc/passwd` } }),
    /expected a file inside .*, got .*\.\.\/etc\/passwd/,
    'dataset.path',
  ],
  [
    'a link that leads out of the roots',
    async () => {
      await writeFile(join(outside, 'linked.jsonl'), good)
      const path = join(there.inputs, 'link.jsonl')
      await symlink(join(outside, 'linked.jsonl'), path)
      return { dataset: { path } }
    },
    /link\.jsonl is a link that leads out of it/,
    'dataset.path',
  ],
  [
    'a model whose weights are a link that leads out of the roots',
    async () => {
      const path = join(there.inputs, `model-${++made}`)
      await cp(embedded.model, path, { recursive: true })
      await rm(join(path, 'model.safetensors'))
      await cp(join(embedded.model, 'model.safetensors'), join(outside, 'model.safetensors'))
      await symlink(join(outside, 'model.safetensors'), join(path, 'model.safetensors'))
      return { model: { path } }
    },
    /model\.safetensors is a link that leads out of it/,
    'model.path',
  ],
  [
    'a folder where a file is expected',
    () => ({ dataset: { path: there.inputs } }),
    /is not a file/,
    'dataset.path',
  ],
  ['a negative beta', () => recipe({ beta: -1 } as object), />=0/, 'recipe.beta'],
  [
    'a prompt that may fill the whole length',
    () => recipe({ maxLength: 64, maxPromptLength: 64 } as object),
    /expected maxPromptLength < maxLength, so that answers keep room/,
    'recipe.maxPromptLength',
  ],
]

/** Seen by the runtime, which reads every byte that it uses. */
const failing: readonly Case[] = [
  [
    'weights that are cut short',
    () => model('model.safetensors', (bytes) => bytes.subarray(0, bytes.length - 1000)),
    /model-\d+\/model\.safetensors: tensor "[\w.]+" ends at byte \d+, but the file has \d+/,
  ],
  [
    'weights that overlap',
    () =>
      model(
        'model.safetensors',
        header((text) => {
          const value = JSON.parse(text)
          const [a, b] = Object.keys(value).filter((name) => name.endsWith('layernorm.weight'))
          value[a!].data_offsets = value[b!].data_offsets
          return JSON.stringify(value)
        }),
      ),
    /model-\d+\/model\.safetensors: (tensor "[\w.]+" starts at byte \d+, inside another|bytes \d+ to \d+, .*belong to no tensor)/,
  ],
  [
    'a model that lacks a tensor',
    () =>
      model(
        'model.safetensors',
        header((text) => text.replaceAll('model.norm.weight', 'model.form.weight')),
      ),
    /model-\d+: tensor "model\.norm\.weight" is missing/,
  ],
  [
    'a config.json that does not fit the weights',
    () =>
      model(
        'config.json',
        json((config) => (config.intermediate_size = 128)),
      ),
    /model-\d+\/model\.safetensors: tensor "model\.layers\.0\.mlp\.gate_proj\.weight" has shape \[256,96\], the configuration expects \[128,96\]/,
  ],
  [
    'a config.json with text for a number',
    () =>
      model(
        'config.json',
        json((config) => (config.hidden_size = '96')),
      ),
    /model-\d+\/config\.json: hidden_size is "96", expected a positive integer/,
  ],
  [
    'a tokenizer.json that is cut short',
    () => model('tokenizer.json', (bytes) => bytes.subarray(0, 1000)),
    /model-\d+\/tokenizer\.json: not JSON: /,
  ],
  [
    'a tokenizer.json without a model',
    () => model('tokenizer.json', () => '{"version":"1.0"}'),
    /model-\d+\/tokenizer\.json: expected an object with a "model"/,
  ],
  [
    'a tokenizer without a chat template',
    () =>
      model(
        'tokenizer_config.json',
        json((config) => delete config.chat_template),
      ),
    /model-\d+: no chat template, neither in tokenizer_config\.json nor in chat_template\.jinja/,
  ],
  [
    'a row that is not JSON',
    () => dataset(`${good}{"chosen": "x", \n${good}`),
    /pairs\.jsonl: row 1 \(line 2\): not JSON at column \d+/,
  ],
  [
    'a row without a column',
    () => dataset(`${good}{"prompt":"a","chosen":"b"}\n`),
    /pairs\.jsonl: row 1 \(counted from 0\): expected columns chosen and rejected \(and perhaps prompt\), found prompt, chosen/,
  ],
  [
    'a row whose answers are the same',
    () => dataset(`{"prompt":"a","chosen":"b","rejected":"b"}\n`),
    /pairs\.jsonl: row 0 \(counted from 0\): chosen and rejected are identical/,
  ],
  [
    'a dataset without rows',
    () => dataset(''),
    /pairs\.jsonl: no rows, expected at least one preference/,
  ],
  [
    'more held-out rows than rows',
    async () => ({ dataset: { path: await rows('pairs.jsonl', good.repeat(3)), testSize: 3 } }),
    /testSize 3 of 3 rows leaves none to train on/,
  ],
  [
    'a benchmark row without a right answer',
    async () =>
      benchmark('{"messages":[{"role":"user","content":"Which?"}],"choices":["a","b"],"gold":2}\n'),
    /benchmark\.jsonl: who_is_bigger: row 0 \(counted from 0\): gold is 2, expected an index below 2/,
  ],
  [
    'a benchmark row that is not JSON',
    async () => benchmark('{"messages":'),
    /benchmark\.jsonl: row 0 \(line 1\): not JSON at column 13: .*the file ends here: is it cut short\?/,
  ],
  [
    'a benchmark without rows',
    async () => benchmark(''),
    /benchmark\.jsonl: no rows, expected documents of who_is_bigger/,
  ],
]

const counted = async () =>
  Promise.all([db.$count(runs), db.$count(baseModels), db.$count(datasets)])

for (const [what, change, message, path] of refused) {
  test(`${what}: InvalidInput at ${path}`, async () => {
    const before = await counted()
    const { problem, issues } = await there.refusal('trainAdapter', {
      ...smallTraining,
      ...(await change()),
    })
    assert.equal(problem, 'InvalidInput')
    assert.deepEqual(
      issues.map((issue) => issue.path.join('.')),
      [path],
    )
    assert.match(issues[0]!.message, message)
    assert.deepEqual(await counted(), before)
  })
}

test('an unknown task is a problem with its path and the tasks there are', async () => {
  const before = await counted()
  const tasks = [{ task: 'arc_hard' }]
  for (const [mutation, input, path] of [
    ['trainAdapter', { ...smallTraining, evaluate: { tasks } }, ['evaluate', 'tasks', '0', 'task']],
    ['evaluate', { model: smallTraining.model, tasks }, ['tasks', '0', 'task']],
  ] as const) {
    const { problem, issues } = await there.refusal(mutation, input)
    assert.equal(problem, 'InvalidInput')
    assert.deepEqual(issues, [
      { path, message: `expected one of ${taskNames.join(', ')}, got "arc_hard"` },
    ])
  }
  assert.deepEqual(await counted(), before)
})

test('what only the runtime can see fails the run at once: what, where, and what was expected', async (t) => {
  // Started together, so that two runtimes are always at work.
  const started = await Promise.all(
    failing.map(async ([, change]) => there.train({ ...smallTraining, ...(await change()) })),
  )
  for (const [i, [what, , message]] of failing.entries()) {
    await t.test(what, async () => {
      const { run, events } = await there.ended(started[i]!)
      assert.deepEqual(
        [run.status, run.failure?.code, run.attempt],
        ['FAILED', 'INPUT', 1],
        run.failure?.message,
      )
      assert.match(run.failure.message, message)
      assert.ok(!events.some(({ type }) => type === 'metrics'), 'found before training')
      assert.deepEqual(
        [run.adapter, run.artifacts, run.evaluations, run.comparison],
        [null, [], [], null],
      )
    })
  }
})

test('files that changed or went while their run waited fail it', async () => {
  const { server } = there
  const [changed, gone] = [
    await rows('pairs.jsonl', good.repeat(20)),
    await rows('pairs.jsonl', good.repeat(30)),
  ]
  // Two longer runs take both places, so that these wait.
  const busy = await Promise.all([1, 2].map(() => there.train({ ...smallTraining, priority: 1 })))
  const waiting = await Promise.all(
    [changed, gone].map((path) => there.train({ ...smallTraining, dataset: { path } })),
  )
  assert.ok(server.dispatcher.active().length <= 2)
  await writeFile(changed, good.repeat(21))
  await rm(gone)
  const [first, second] = await Promise.all(waiting.map((id) => there.ended(id)))
  assert.deepEqual([first!.run.failure?.code, second!.run.failure?.code], ['INPUT', 'INPUT'])
  assert.match(
    first!.run.failure.message,
    /pairs\.jsonl: has changed since the run was made: expected sha256 [0-9a-f]{64}, got /,
  )
  assert.match(
    second!.run.failure.message,
    /pairs\.jsonl: ENOENT.*it could be read when the run was made/,
  )
  for (const id of busy) assert.equal((await there.ended(id)).run.status, 'SUCCEEDED')
})

test('of all this nothing is left', async () => {
  await there.idle()
  assert.deepEqual(await there.leftovers(), [])
  assert.deepEqual(await there.halfDone(), [])
})
