/** QLoRA as its users meet it: trained and scored on a base model in four bits, which is quantized once. */
import assert from 'node:assert/strict'
import { cp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { install, smallTraining, type Event } from './installation.ts'

const there = await install()
const path = join(there.inputs, 'model')
await cp(embedded.model, path, { recursive: true })
const training = { ...smallTraining, model: { path } }
const quantized = { ...training, quantization: 'NF4' }

const quantizings = (events: readonly Event[]) =>
  events
    .filter(({ type }) => type === 'log')
    .map(({ body }) => String(body['message']))
    .filter((message) => message.startsWith('quantizing'))

async function evaluationsOf(id: string): Promise<any[]> {
  const document =
    'query ($id: ID!) { run(id: $id) { quantization evaluations { adapter { id } settings { dtype } scores { metric value } } } }'
  const { run } = await there.client.query<any>(document, { id })
  return run.evaluations.map((evaluation: any) => ({
    quantization: run.quantization,
    ...evaluation,
  }))
}

const first = await there.ended(await there.train(quantized))

test('a training on NF4 scores base and adapter on NF4 and compares them', async () => {
  assert.equal(first.run.status, 'SUCCEEDED')
  const evaluations = await evaluationsOf(first.run.id)
  assert.deepEqual(
    evaluations.map(({ quantization, settings }) => [quantization, settings.dtype]),
    [
      ['NF4', 'NF4'],
      ['NF4', 'NF4'],
    ],
  )
  assert.equal(first.run.comparison.tasks[0].n, 60)
})

test('the model is quantized by the first run only, beside its weights, and pinned as before', async () => {
  const folder = join(path, '.oddsmith')
  const [file, ...others] = await readdir(folder)
  assert.match(file!, /^nf4-1-[0-9a-f]{64}\.safetensors$/)
  assert.deepEqual(others, [])
  assert.deepEqual(quantizings(first.events), [`quantizing ${path} to ${join(folder, file!)}`])
  const before = await stat(join(folder, file!))
  const { run, events } = await there.ended(await there.train(quantized))
  const after = await stat(join(folder, file!))
  assert.deepEqual(quantizings(events), [])
  assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs])
  assert.equal(run.adapter.sha256, first.run.adapter.sha256)
  assert.equal(run.model.id, first.run.model.id)
})

test('the same training on the whole base makes another adapter, and its scores stand on another board', async () => {
  const { run } = await there.ended(await there.train(training))
  assert.notEqual(run.adapter.sha256, first.run.adapter.sha256)
  const document =
    '{ leaderboard(task: "who_is_bigger") { settings { dtype } rows { adapter { id } } } }'
  const { leaderboard } = await there.client.query<any>(document)
  const adaptersOf = (dtype: string) =>
    leaderboard
      .filter(({ settings }: any) => settings.dtype === dtype)
      .flatMap(({ rows }: any) => rows.flatMap(({ adapter }: any) => adapter?.id ?? []))
  assert.deepEqual(adaptersOf('FLOAT32'), [run.adapter.id])
  assert.ok(adaptersOf('NF4').includes(first.run.adapter.id))
  assert.ok(!adaptersOf('NF4').includes(run.adapter.id))
})

test('an adapter that was trained on NF4 can be scored on the whole base', async () => {
  const id = await there.evaluate({
    adapterId: first.run.adapter.id,
    tasks: smallTraining.evaluate.tasks,
  })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED')
  const [evaluation] = await evaluationsOf(id)
  assert.deepEqual(
    [evaluation.quantization, evaluation.settings.dtype, evaluation.adapter.id],
    ['NONE', 'FLOAT32', first.run.adapter.id],
  )
})
