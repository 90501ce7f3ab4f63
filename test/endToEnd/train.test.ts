/** One mutation trains an adapter, scores it and its base, and the result is on the leaderboard; further mutations build on it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { loadAdapter } from '#gpu-runtime/lora/peft.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { curvesOf, install, smallTraining, statuses, type Event } from './installation.ts'

const there = await install()
const first = await there.ended(await there.train())

const scoredIn = (events: readonly Event[]) =>
  events.filter(({ type }) => type === 'evaluation').map(({ body }) => body['key'])
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)
const accuracy = (evaluation: any): number =>
  evaluation.scores.find(({ metric }: any) => metric === 'acc').value

/** Each choice's log-likelihood, by document, of an evaluation. */
async function samplesOf(
  id: string,
): Promise<{ document: number; hash: string; choices: { logLikelihood: number }[] }[]> {
  const document =
    'query ($id: ID!) { evaluation(id: $id) { samples(first: 100) { nodes { document hash choices { logLikelihood } } } } }'
  return (await there.client.query<any>(document, { id })).evaluation.samples.nodes
}

test('a training goes from the queue to its end, and its events have dense cursors', () => {
  assert.deepEqual(statuses(first.events), ['QUEUED', 'STARTING', 'RUNNING', 'SUCCEEDED'])
  assert.deepEqual(
    first.events.map(({ cursor }) => cursor),
    range(1, first.events.length),
  )
  assert.deepEqual(
    first.events.filter(({ type }) => type === 'phase').map(({ body }) => body['phase']),
    ['PREPARE', 'TRAIN', 'EVALUATE'],
  )
  const {
    rows,
    train,
    test: held,
    steps,
  } = first.events.find(({ type }) => type === 'dataset')!.body
  assert.deepEqual([rows, train, held, steps], [884, 112, 8, 12])
})

test('its curves have every step once, under TRL’s names', () => {
  const curves = curvesOf(first.run)
  // What trl 1.16's ORPOTrainer logs.
  const names = [
    'loss',
    'grad_norm',
    'learning_rate',
    'epoch',
    'rewards/chosen',
    'rewards/rejected',
    'rewards/accuracies',
    'rewards/margins',
    'logps/chosen',
    'logps/rejected',
    'logits/chosen',
    'logits/rejected',
    'nll_loss',
    'log_odds_ratio',
    'log_odds_chosen',
  ]
  for (const name of names)
    assert.deepEqual(
      curves[name]?.map(({ step }) => step),
      range(1, 12),
      name,
    )
  assert.deepEqual(
    curves['eval_loss']?.map(({ step }) => step),
    [6, 12],
  )
  const [before, after] = curves['eval_loss']!
  assert.ok(after!.value! < before!.value!, `held-out loss ${before!.value} then ${after!.value}`)
})

test('base and adapter are scored on the same samples, and the stored comparison is their difference', () => {
  const { comparison, evaluations } = first.run
  const base = evaluations.find(({ adapter }: any) => adapter === null)
  const tuned = evaluations.find(({ adapter }: any) => adapter !== null)
  assert.equal(evaluations.length, 2)
  assert.equal(base.promptHash, tuned.promptHash)
  assert.deepEqual(
    comparison.tasks.map(({ metric }: any) => metric),
    ['acc', 'acc_norm'],
  )
  const [row] = comparison.tasks
  assert.deepEqual([row.task, row.metric, row.n, row.leftOut], ['who_is_bigger', 'acc', 60, 0])
  assert.deepEqual([row.baseline, row.candidate], [accuracy(base), accuracy(tuned)])
  assert.ok(Math.abs(row.difference - (row.candidate - row.baseline)) < 1e-12)
  assert.ok(
    row.low <= row.difference && row.difference <= row.high && row.pValue >= 0 && row.pValue <= 1,
  )
})

test('the leaderboard lists both, the adapter with its difference to the base', async () => {
  const document =
    '{ leaderboard(task: "who_is_bigger") { settings { limit } rows { name value n adapter { id } toBase { difference low high pValue n } } } }'
  const { leaderboard } = await there.client.query<any>(document)
  const board = leaderboard.find(({ settings }: any) => settings.limit === 60)
  const base = board.rows.find(({ adapter }: any) => adapter === null)
  const tuned = board.rows.find(({ adapter }: any) => adapter?.id === first.run.adapter.id)
  const [row] = first.run.comparison.tasks
  assert.deepEqual([base.value, base.toBase, base.n], [row.baseline, null, 60])
  const { difference, low, high, pValue, n } = row
  assert.deepEqual(
    [tuned.value, tuned.toBase],
    [row.candidate, { difference, low, high, pValue, n }],
  )
})

test('the adapter’s artifacts are PEFT’s files, and its hash is that of its weights', async () => {
  const { adapter, artifacts, id } = first.run
  const files = artifacts.filter(({ kind }: any) => kind === 'ADAPTER')
  assert.deepEqual(files.map(({ name }: any) => name).toSorted(), [
    'adapter_config.json',
    'adapter_model.safetensors',
  ])
  const directory = join(there.inputs, 'adapter')
  await mkdir(directory)
  for (const { id: artifact, name, sha256 } of files) {
    const bytes = await readFile(there.artifact(id, artifact))
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256)
    await copyFile(there.artifact(id, artifact), join(directory, name))
  }
  assert.equal(
    files.find(({ name }: any) => name === 'adapter_model.safetensors').sha256,
    adapter.sha256,
  )
  const { spec, flat } = await loadAdapter(directory, await openCheckpoint(embedded.model))
  assert.deepEqual([spec.r, spec.alpha, flat.length], [4, 8, adapter.parameters])
  assert.ok(flat.every(Number.isFinite) && flat.some((value) => value !== 0))
})

test('the same spec makes the same adapter to the byte, and the base is not scored again', async () => {
  const { run, events } = await there.ended(await there.train())
  assert.equal(run.adapter.sha256, first.run.adapter.sha256)
  assert.deepEqual(curvesOf(run), curvesOf(first.run))
  assert.deepEqual(scoredIn(events), ['ADAPTER:who_is_bigger'])
  assert.deepEqual(run.comparison.tasks, first.run.comparison.tasks)
})

test('evaluate scores a base model and an adapter; what more documents were asked for is taken over', async () => {
  const tasks = [{ task: 'who_is_bigger', limit: 40 }]
  const base = await there.ended(await there.evaluate({ model: { path: embedded.model }, tasks }))
  const tuned = await there.ended(await there.evaluate({ adapterId: first.run.adapter.id, tasks }))
  assert.deepEqual(
    [scoredIn(base.events), scoredIn(tuned.events)],
    [['BASE:who_is_bigger'], ['ADAPTER:who_is_bigger']],
  )
  for (const [{ run, events }, isBase] of [
    [base, true],
    [tuned, false],
  ] as const) {
    assert.equal(run.status, 'SUCCEEDED')
    assert.ok(events.every(({ type }) => type !== 'samples'))
    const [evaluation] = run.evaluations
    assert.equal(evaluation.documents, 40)
    const before = first.run.evaluations.find(({ adapter }: any) => (adapter === null) === isBase)
    const [now, then] = [await samplesOf(evaluation.id), await samplesOf(before.id)]
    assert.equal(now.length, 40)
    for (const { document, hash, choices } of now) {
      assert.equal(hash, then[document]!.hash)
      assert.deepEqual(choices, then[document]!.choices)
    }
  }
})

test('an evaluation of what was scored before ends at once, with nothing scored', async () => {
  const { run, events } = await there.ended(
    await there.evaluate({
      model: { path: embedded.model },
      tasks: [{ task: 'who_is_bigger', limit: 60 }],
    }),
  )
  assert.equal(run.status, 'SUCCEEDED')
  assert.deepEqual([scoredIn(events), run.evaluations], [[], []])
})

test('compare sets two adapters against each other', async () => {
  const other = { ...smallTraining, recipe: { ...smallTraining.recipe, seed: 7, beta: 0.5 } }
  const { run } = await there.ended(await there.train(other))
  assert.notEqual(run.adapter.sha256, first.run.adapter.sha256)
  const document = `mutation ($input: CompareInput!) { compare(input: $input) { __typename ... on Problem { message } ... on Comparison {
    baselineAdapter { id } candidateAdapter { id } tasks { task n leftOut baseline candidate difference }
  } } }`
  const input = {
    baseline: { adapterId: first.run.adapter.id },
    candidate: { adapterId: run.adapter.id },
    tasks: ['who_is_bigger'],
  }
  const { compare } = await there.client.query<any>(document, { input })
  assert.equal(compare.__typename, 'Comparison', compare.message)
  assert.deepEqual(
    [compare.baselineAdapter.id, compare.candidateAdapter.id],
    [first.run.adapter.id, run.adapter.id],
  )
  const [row] = compare.tasks
  assert.equal(row.leftOut, 0)
  const tuned = run.evaluations.find(({ adapter }: any) => adapter !== null)
  assert.deepEqual([row.n, row.candidate], [60, accuracy(tuned)])
})

test('nothing is left but what was to be kept', async () => {
  await there.idle()
  assert.deepEqual(await there.leftovers(), [])
  assert.deepEqual(await there.halfDone(), [])
})
