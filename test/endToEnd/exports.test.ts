/** Downloads over HTTP: samples in two formats, and results as lm-evaluation-harness writes them. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { parquetReadObjects } from 'hyparquet'
import { repository } from '#api/env.ts'
import { answers, createWorld } from '#test/evaluation/world.ts'
import { shared, withoutShared } from '#test/gpu-runtime/shared.ts'
import { install, uuid } from './installation.ts'

const there = await install({
  roots: [shared('data/stories260K')],
  benchmarkRoots: [shared('data/nous-normalised')],
})
const world = await createWorld(there.server.context.db)
const key = there.server.firstKey!

const get = (path: string, headers: Record<string, string> = { authorization: `Bearer ${key}` }) =>
  fetch(`${there.server.url}/exports/${path}`, { headers })
const lines = async (path: string) =>
  (await (await get(path)).text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

// Of more than two pages.
const many = 1234
const model = await world.model('zoo')
const adapter = await world.adapter(model, 'orpo')
const stored = await world.evaluation(
  adapter.runId,
  { baseModelId: model.id, adapterId: adapter.id },
  answers(many, 700),
)

test('every sample is in the JSON lines once, in the order of the documents', async () => {
  const found = await lines(`evaluations/${stored.id}/samples.jsonl`)
  assert.deepEqual(
    found.map(({ document }) => document),
    Array.from({ length: many }, (_, i) => i),
  )
  const { samples } = (
    await there.client.query<any>(
      `query ($id: ID!) { evaluation(id: $id) { samples(first: 3) { nodes { document hash gold picked question answers choices { logLikelihood tokens } } } } }`,
      { id: stored.id },
    )
  ).evaluation
  for (const [i, { choices, ...sample }] of samples.nodes.entries()) {
    const { choices: exported, scores, weights, response, ...same } = found[i]
    assert.deepEqual(same, sample)
    assert.deepEqual(
      exported.map(({ logLikelihood, tokens }: any) => ({ logLikelihood, tokens })),
      choices,
    )
  }
})

test('the Parquet file has the same rows, a page a row group, and a column for each metric', async () => {
  const wanted = await lines(`evaluations/${stored.id}/samples.jsonl`)
  const file = await (await get(`evaluations/${stored.id}/samples.parquet`)).arrayBuffer()
  const rows = await parquetReadObjects({ file })
  assert.equal(rows.length, many)
  assert.deepEqual(
    rows.map(({ document, hash, gold, picked, question, answers, choices, response, acc }) => ({
      document,
      hash,
      gold,
      picked,
      question,
      answers,
      choices,
      response,
      acc,
    })),
    wanted.map(({ scores, weights: _, ...sample }) => ({ ...sample, acc: scores.acc })),
  )
})

test('exports are for the team, and of what exists', async () => {
  const path = `evaluations/${stored.id}/samples.jsonl`
  assert.equal((await get(path, {})).status, 401)
  assert.equal((await get(path, { authorization: 'Bearer ods_wrong' })).status, 401)
  assert.equal(
    (await get('evaluations/00000000-0000-4000-8000-000000000000/samples.jsonl')).status,
    404,
  )
  assert.equal((await get('evaluations/none/samples.jsonl')).status, 404)
  const open = await world.evaluation(
    adapter.runId,
    { baseModelId: model.id, adapterId: null },
    answers(4, 2),
    { finished: false },
  )
  assert.equal((await get(`evaluations/${open.id}/samples.jsonl`)).status, 409)
  assert.equal((await get(`runs/${adapter.runId}/results.json?subject=NOBODY`)).status, 400)
  assert.equal((await get(`runs/${adapter.runId}/summary.md`)).status, 404)
})

test(
  'results and samples of a real run are what lm-evaluation-harness writes of the same',
  { skip: withoutShared },
  async () => {
    /** test/golden/harnessResults.py: a run of lm-evaluation-harness 0.4.13 on the same rows and model. */
    const golden = JSON.parse(
      await readFile(join(repository, 'test/golden/harnessResults.json'), 'utf8'),
    )
    const tasks = Object.keys(golden.results)
    const id = await there.evaluate({
      model: { path: shared('data/stories260K/hf-derived') },
      tasks: tasks.map((task) => ({ task, limit: 20 })),
    })
    const { run } = await there.ended(id)
    assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
    const results = (await (await get(`runs/${uuid(id)}/results.json`)).json()) as any

    assert.deepEqual(Object.keys(results).toSorted(), golden.keys)
    assert.deepEqual(Object.keys(results.config).toSorted(), golden.config)
    for (const part of ['versions', 'n-shot', 'higher_is_better', 'group_subtasks'])
      assert.deepEqual(results[part], golden[part], part)
    for (const task of tasks) {
      const [ours, theirs] = [results.results[task], golden.results[task]]
      assert.deepEqual(Object.keys(ours).toSorted(), Object.keys(theirs).toSorted())
      for (const [name, value] of Object.entries(theirs))
        if (typeof value === 'number')
          assert.ok(
            Math.abs(ours[name] - value) < 1e-6,
            `${task} ${name}: ${ours[name]}, not ${value}`,
          )
        else assert.equal(ours[name], value)
      assert.equal(results['n-samples'][task].effective, golden['n-samples'][task].effective)
      for (const name of Object.keys(results.configs[task]))
        assert.ok(golden.configs[task].includes(name), `configs.${task}.${name}`)
    }

    const evaluations = (
      await there.client.query<any>(
        `query ($id: ID!) { run(id: $id) { evaluations { id task } } }`,
        { id },
      )
    ).run.evaluations
    for (const { id: evaluation, task } of evaluations) {
      const found = await lines(`evaluations/${uuid(evaluation)}/harness.jsonl`)
      const { keys, lines: wanted } = golden.samples[task]
      assert.deepEqual(Object.keys(found[0]).toSorted(), keys)
      assert.equal(found.length, wanted.length)
      for (const [i, theirs] of wanted.entries()) {
        const ours = found[i]
        for (const name of ['doc_id', 'target', 'filter', 'metrics', ...theirs.metrics])
          assert.deepEqual(ours[name], theirs[name], `${task} ${i} ${name}`)
        for (const [choice, [logLikelihood]] of theirs.filtered_resps.entries())
          assert.ok(Math.abs(Number(ours.filtered_resps[choice][0]) - Number(logLikelihood)) < 1e-3)
        assert.equal(ours.resps.length, theirs.resps.length)
      }
    }
  },
)
