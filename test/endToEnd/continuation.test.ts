/** A second training that goes on from the adapter of a first, which kept the best of its evaluations. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { loadAdapter } from '#gpu-runtime/lora/peft.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { curvesOf, install, smallTraining } from './installation.ts'

const there = await install()

const spec = {
  ...smallTraining,
  recipe: { ...smallTraining.recipe, evalEvery: 0.25, keepBest: {}, warmupSteps: 0 },
  evaluate: null,
}
const first = await there.ended(await there.train(spec))
const { lora: _, ...without } = spec

const lineage = async (id: string) =>
  (
    await there.client.query<any>(
      `query ($id: ID!) { adapter(id: $id) {
         step r alpha targetModules parent { id } run { evaluated { id } recipe { keepBest { metric goal } earlyStopping { patience } } }
       } }`,
      { id },
    )
  ).adapter

test('the adapter that was kept is that of the lowest eval_loss, and says so', async () => {
  assert.equal(first.run.status, 'SUCCEEDED', JSON.stringify(first.run.failure))
  const losses = curvesOf(first.run)['eval_loss']!
  const lowest = losses.reduce((a, b) => (b.value! < a.value! ? b : a))
  assert.deepEqual(await lineage(first.run.adapter.id), {
    step: lowest.step,
    r: 4,
    alpha: 8,
    targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    parent: null,
    run: {
      evaluated: null,
      recipe: { keepBest: { metric: 'eval_loss', goal: 'MIN' }, earlyStopping: null },
    },
  })
  const said = first.events.filter(({ type }) => type === 'log').map(({ body }) => body['message'])
  assert.ok(said.some((m) => m.startsWith(`kept the adapter of step ${lowest.step}, the best by`)))
})

test('training goes on where the adapter was: a step of rate zero gives it back to the byte', async () => {
  const id = await there.train({
    ...without,
    adapterId: first.run.adapter.id,
    recipe: { ...smallTraining.recipe, maxSteps: 1, warmupSteps: 5, evalEvery: 0 },
  })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  assert.equal(run.adapter.sha256, first.run.adapter.sha256)
  const { parent, r, alpha, run: made } = await lineage(run.adapter.id)
  assert.deepEqual([parent, r, alpha], [{ id: first.run.adapter.id }, 4, 8])
  assert.deepEqual(made.evaluated, { id: first.run.adapter.id })
})

test('and further: its first loss is below that of a new adapter', async () => {
  const id = await there.train({ ...without, adapterId: first.run.adapter.id })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  assert.notEqual(run.adapter.sha256, first.run.adapter.sha256)
  const [before, after] = [first.run, run].map((r) => curvesOf(r)['loss']![0]!.value!)
  assert.ok(after! < before!, `${after} < ${before}`)
})

test('an adapter of another shape than was asked for, or none, is refused', async () => {
  const shape = await there.refusal('trainAdapter', {
    ...without,
    adapterId: first.run.adapter.id,
    lora: { r: 8, targetModules: ['q_proj'] },
  })
  assert.deepEqual(
    shape.issues.map(({ path, message }) => [
      path.join('.'),
      message.replace(/[0-9a-f-]{36}/, '…'),
    ]),
    [
      ['lora.r', 'expected 4, which adapter … has, or nothing; got 8'],
      [
        'lora.targetModules',
        'expected ["down_proj","gate_proj","k_proj","o_proj","q_proj","up_proj","v_proj"], which adapter … has, or nothing; got ["q_proj"]',
      ],
    ],
  )
  const missing = await there.refusal('trainAdapter', {
    ...without,
    adapterId: 'Adapter:00000000-0000-4000-8000-000000000000',
  })
  assert.equal(missing.problem, 'NotFound')
})

test('the files of a continued adapter load as any other', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-adapter-'))
  for (const { id, name } of first.run.artifacts)
    await copyFile(there.artifact(first.run.id, id), join(directory, name))
  const { spec: stored } = await loadAdapter(directory, await openCheckpoint(embedded.model))
  await rm(directory, { recursive: true })
  assert.deepEqual([stored.r, stored.alpha], [4, 8])
})
