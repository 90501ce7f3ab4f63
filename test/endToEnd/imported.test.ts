/** Adapters and merged models of others: what PEFT saved is scored as PEFT scores it. */
import assert from 'node:assert/strict'
import { copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { repository } from '#api/env.ts'
import { embedded } from '#demo/embedded.ts'
import { readHeader, readTensor, writeSafetensors } from '#gpu-runtime/files/safetensors.ts'
import { install, smallTraining } from './installation.ts'

const there = await install()
const golden = join(repository, 'test/golden')
/** Sums of log-likelihoods by document and choice: test/golden/imported.py, with transformers and PEFT. */
const expected = JSON.parse(await readFile(join(golden, 'imported.json'), 'utf8')) as {
  base: number[][]
  adapter: number[][]
}
const limit = expected.adapter.length
const tasks = [{ task: 'who_is_bigger', limit }]

const folder = join(there.inputs, 'brought')
await cp(join(golden, 'imported'), folder, { recursive: true })

let keys = 0
async function bring(input: object = {}) {
  const { importAdapter } = await there.client.query<any>(
    `mutation ($input: ImportAdapterInput!) { importAdapter(input: $input) {
       __typename
       ... on Adapter { id name imported run { id } r alpha targetModules parameters model { path } }
       ... on Problem { message } ... on InvalidInput { issues { path message } }
     } }`,
    {
      input: {
        idempotencyKey: `import ${++keys}`,
        path: folder,
        model: { path: embedded.model },
        name: 'brought along',
        ...input,
      },
    },
  )
  return importAdapter
}

const adapter = await bring()

/** Log-likelihoods of an evaluation by document and choice. */
async function scoresOf(input: object): Promise<number[][]> {
  const { run } = await there.ended(await there.evaluate({ tasks, ...input }))
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  const { evaluation } = await there.client.query<any>(
    `query ($id: ID!) { evaluation(id: $id) { samples(first: 100) { nodes { choices { logLikelihood } } } } }`,
    { id: run.evaluations[0].id },
  )
  return evaluation.samples.nodes.map(({ choices }: any) =>
    choices.map(({ logLikelihood }: any) => logLikelihood),
  )
}

function assertNear(found: number[][], wanted: number[][]): void {
  assert.equal(found.length, wanted.length)
  const off = found.flatMap((row, i) => row.map((x, j) => Math.abs(x - wanted[i]![j]!)))
  assert.ok(Math.max(...off) < 1e-3, `off by ${Math.max(...off)} nats`)
}

test('an adapter of PEFT is imported with what its files say', () => {
  const { id: _, model, ...facts } = adapter
  assert.deepEqual(facts, {
    __typename: 'Adapter',
    name: 'brought along',
    imported: true,
    run: null,
    r: 2,
    alpha: 3,
    targetModules: ['q_proj', 'down_proj'],
    // 3 layers of q_proj [96, 96] and down_proj [96, 256]
    parameters: 3 * 2 * (96 + 96 + 96 + 256),
  })
  assert.equal(model.path, embedded.model)
})

test('it gives PEFT’s log-likelihoods, which are not those of its base model', async () => {
  const found = await scoresOf({ adapterId: adapter.id })
  assertNear(found, expected.adapter)
  const apart = Math.max(
    ...found.flatMap((row, i) => row.map((x, j) => Math.abs(x - expected.base[i]![j]!))),
  )
  assert.ok(apart > 0.1, `the adapter moves log-likelihoods by ${apart} nats`)
  assertNear(await scoresOf({ model: { path: embedded.model } }), expected.base)
})

test('it stands on the leaderboard beside its base, is compared with it, and training goes on from it', async () => {
  const { compare } = await there.client.query<any>(
    `mutation ($input: CompareInput!) { compare(input: $input) { ... on Comparison { tasks { n } } ... on Problem { message } } }`,
    {
      input: {
        baseline: {
          modelId: (
            await there.client.query<any>(
              'query ($id: ID!) { adapter(id: $id) { model { id } } }',
              {
                id: adapter.id,
              },
            )
          ).adapter.model.id,
        },
        candidate: { adapterId: adapter.id },
      },
    },
  )
  assert.ok(
    compare.tasks.every(({ n }: any) => n === limit),
    JSON.stringify(compare),
  )
  const { leaderboard } = await there.client.query<any>('{ leaderboard { rows { name } } }')
  assert.ok(leaderboard[0].rows.some(({ name }: any) => name === 'brought along'))
  const { lora: _, ...training } = smallTraining
  const id = await there.train({
    ...training,
    adapterId: adapter.id,
    evaluate: null,
    recipe: { ...smallTraining.recipe, maxSteps: 2, evalEvery: 0 },
  })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
})

test('a merged model is a model like any other, and scores as the adapter that was merged into it', async () => {
  const merged = join(there.inputs, 'merged')
  await mkdir(merged)
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(embedded.model, name), join(merged, name))
  const base = await readHeader(join(embedded.model, 'model.safetensors'))
  const lora = await readHeader(join(folder, 'adapter_model.safetensors'))
  const tensors = []
  for (const info of base.tensors.values()) {
    const data = Float32Array.from(await readTensor(info))
    const path = `base_model.model.${info.name.replace(/\.weight$/, '')}`
    const [a, b] = ['A', 'B'].map((m) => lora.tensors.get(`${path}.lora_${m}.weight`))
    if (a && b) {
      const [down, up] = [await readTensor(a), await readTensor(b)]
      const [out, width] = info.shape as [number, number]
      for (let i = 0; i < out; i++)
        for (let j = 0; j < width; j++)
          for (let k = 0; k < 2; k++)
            data[i * width + j]! += (3 / Math.SQRT2) * up[2 * i + k]! * down[k * width + j]!
    }
    tensors.push({ name: info.name, dtype: 'F32' as const, shape: info.shape, data })
  }
  await writeSafetensors(join(merged, 'model.safetensors'), tensors, { format: 'pt' })
  assertNear(await scoresOf({ model: { path: merged } }), expected.adapter)
})

test('the same key is the same adapter, with other input a conflict', async () => {
  const input = { idempotencyKey: 'import 1' }
  assert.equal((await bring(input)).id, adapter.id)
  const other = await bring({ ...input, name: 'another' })
  assert.equal(other.__typename, 'Conflict')
})

test('what cannot be computed with is refused, and says what can', async () => {
  const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))
  const refused = async (name: string, change: object, wanted: RegExp) => {
    const other = join(there.inputs, name)
    await mkdir(other)
    await copyFile(
      join(folder, 'adapter_model.safetensors'),
      join(other, 'adapter_model.safetensors'),
    )
    await writeFile(join(other, 'adapter_config.json'), JSON.stringify({ ...config, ...change }))
    const answer = await bring({ path: other })
    assert.equal(answer.__typename, 'InvalidInput')
    assert.deepEqual(answer.issues[0].path, ['path'])
    assert.match(answer.issues[0].message, wanted)
  }
  await refused('dora', { use_dora: true }, /use_dora: expected none/)
  await refused('ia3', { peft_type: 'IA3' }, /peft_type: .*LORA/)
  await refused('pissa', { init_lora_weights: 'pissa' }, /init_lora_weights: expected true, false/)
  await refused(
    'ranks',
    { rank_pattern: { q_proj: 4 } },
    /rank_pattern: expected none: all linears/,
  )
  await refused('shape', { r: 4 }, /lora_A\.weight" is \[2,\d+\], expected \[4,\d+\]/)
  const outside = await bring({ path: join(golden, 'imported') })
  assert.match(outside.issues[0].message, /expected a directory inside/)
  const linked = join(there.inputs, 'linked')
  await symlink(join(golden, 'imported'), linked)
  assert.match((await bring({ path: linked })).issues[0].message, /a link that leads out of it/)
})

test('nothing half done is left of imports that were refused', async () => {
  await there.idle()
  assert.deepEqual(await there.halfDone(), [])
})
