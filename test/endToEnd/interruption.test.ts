/** Runtimes that are killed, ended or canceled at work: the run ends as if nothing had happened. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { curvesOf, install, smallTraining, statuses, type Event } from './installation.ts'

const there = await install()

const steps = 16
/** Some seconds on one thread, so that there is a middle to be killed in; a checkpoint after every other step. */
const spec = {
  ...smallTraining,
  dataset: { ...smallTraining.dataset, limit: 500 },
  recipe: {
    ...smallTraining.recipe,
    batchSize: 32,
    accumulation: 2,
    maxSteps: steps,
    checkpointEvery: 2,
  },
  engine: { threads: 1, tokenBudget: 256 },
  evaluate: { tasks: [{ task: 'who_is_bigger', limit: 100 }], every: 0.25, limit: 40 },
}

/** The same spec in one go, first and once: what all others are held to. */
const undisturbed = await there.ended(await there.train(spec))
const expected = {
  status: 'SUCCEEDED',
  sha256: undisturbed.run.adapter.sha256,
  curves: curvesOf(undisturbed.run),
}
const outcome = (run: any) => ({
  status: run.status,
  sha256: run.adapter?.sha256,
  curves: curvesOf(run),
})

const ofRuntime = (events: readonly Event[], attempt: number) =>
  events.filter((e) => e.source === 'RUNTIME' && e.attempt === attempt)
const resumedFrom = (events: readonly Event[], attempt: number): number | null =>
  ofRuntime(events, attempt).find(({ type }) => type === 'started')!.body['resumedFromStep']
/** The last checkpoint that the api knew of when an attempt ended. */
const lastCheckpoint = (events: readonly Event[], attempt: number): number =>
  ofRuntime(events, attempt).findLast(({ type }) => type === 'checkpoint')!.step!

test('a run that nobody disturbs has every step of every curve once', () => {
  assert.equal(undisturbed.run.attempt, 1)
  const { loss, eval_loss: held } = expected.curves
  assert.deepEqual(
    loss!.map(({ step }) => step),
    Array.from({ length: steps }, (_, i) => i + 1),
  )
  assert.deepEqual(
    held!.map(({ step }) => step),
    [8, 16],
  )
})

test('a benchmark during training is a curve from the base model to the adapter, and changes neither the others nor the adapter', async () => {
  const { every: _, limit: __, ...evaluate } = spec.evaluate
  const { run } = await there.ended(await there.train({ ...spec, evaluate }))
  const benchmark = (name: string) => name.startsWith('eval_who_is_bigger/')
  const names = Object.keys(expected.curves)
  assert.deepEqual(names.filter(benchmark), [
    'eval_who_is_bigger/acc',
    'eval_who_is_bigger/acc_norm',
  ])
  assert.deepEqual(outcome(run), {
    ...expected,
    curves: Object.fromEntries(
      Object.entries(expected.curves).filter(([name]) => !benchmark(name)),
    ),
  })
  const document =
    'query ($id: ID!) { evaluation(id: $id) { samples(first: 40) { nodes { scores { metric value } } } } }'
  /** Over the first 40 documents, of what was scored when training had ended. */
  const firstOf = async (isBase: boolean, metric: string): Promise<number> => {
    const { id } = undisturbed.run.evaluations.find((e: any) => (e.adapter === null) === isBase)
    const { evaluation } = await there.client.query<any>(document, { id })
    const scores = evaluation.samples.nodes.map(
      (sample: any) => sample.scores.find((score: any) => score.metric === metric).value,
    )
    return scores.reduce((sum: number, score: number) => sum + score, 0) / 40
  }
  for (const metric of ['acc', 'acc_norm']) {
    const curve = expected.curves[`eval_who_is_bigger/${metric}`]!
    assert.deepEqual(
      curve.map(({ step }) => step),
      [0, 4, 8, 12, 16],
    )
    assert.equal(curve[0]!.value, await firstOf(true, metric))
    assert.equal(curve.at(-1)!.value, await firstOf(false, metric))
  }
})

test('kill -9 in the middle of training: resumed from the checkpoint, the same curve, the same adapter to the byte', async () => {
  const id = await there.train(spec)
  await there.until(id, ({ type }) => type === 'checkpoint')
  await there.signal(id, 'SIGKILL')
  const { run, events } = await there.ended(id)
  assert.deepEqual(statuses(events), [
    'QUEUED',
    'STARTING',
    'RUNNING',
    'QUEUED',
    'STARTING',
    'RUNNING',
    'SUCCEEDED',
  ])
  const from = resumedFrom(events, 2)
  assert.equal(from, lastCheckpoint(events, 1))
  assert.ok(from! >= 2 && from! < steps, `resumed from step ${from}`)
  assert.deepEqual(outcome(run), expected)
  const back = events.find(
    ({ type, status, attempt }) => type === 'status' && status === 'QUEUED' && attempt === 1,
  )!
  assert.match(back.body['reason'], /was ended by SIGKILL/)
})

test('kill -9 in the middle of scoring: what was scored stays, nothing is trained again, every document counts once', async () => {
  // Some seconds of scoring; other rows than those of the first run, so that the base is scored too.
  const rows = join(there.inputs, 'benchmark.jsonl')
  await writeFile(rows, (await readFile(embedded.benchmark, 'utf8')).repeat(4))
  const n = 4 * 440
  const tasks = [{ task: 'who_is_bigger', rows }]
  const id = await there.train({ ...spec, evaluate: { ...spec.evaluate, tasks } })
  await there.until(
    id,
    ({ type, body }) => type === 'samples' && body['key'] === 'BASE:who_is_bigger',
  )
  await there.signal(id, 'SIGKILL')
  const { run, events } = await there.ended(id)
  assert.equal(run.attempt, 2)
  assert.deepEqual(outcome(run), expected)
  const again = ofRuntime(events, 2).map(({ type }) => type)
  assert.ok(
    !again.includes('metrics') && !again.includes('dataset') && !again.includes('adapter'),
    again.join(),
  )
  const finished = events.filter(({ type }) => type === 'evaluated').map(({ body }) => body['key'])
  assert.deepEqual(finished.toSorted(), ['ADAPTER:who_is_bigger', 'BASE:who_is_bigger'])
  const [row] = run.comparison.tasks
  assert.deepEqual([row.n, row.leftOut], [n, 0])
  assert.ok(run.evaluations.every((e: any) => e.finishedAt !== null && e.scores[0].n === n))
})

test('SIGTERM in the middle of training: a checkpoint of the last step, no attempt lost, the same adapter', async () => {
  const id = await there.train({
    ...spec,
    recipe: { ...spec.recipe, checkpointEvery: 0 },
    maxAttempts: 1,
  })
  await there.until(id, ({ type, step }) => type === 'metrics' && step! >= 3)
  await there.signal(id, 'SIGTERM')
  const { run, events } = await there.ended(id)
  assert.deepEqual([run.attempt, run.maxAttempts], [2, 2])
  const goodbye = ofRuntime(events, 1).at(-1)!
  assert.deepEqual([goodbye.type, goodbye.body['reason']], ['interrupted', 'SIGTERM'])
  const reached = ofRuntime(events, 1).findLast(({ type }) => type === 'metrics')!.step
  assert.deepEqual(
    [lastCheckpoint(events, 1), resumedFrom(events, 2), goodbye.body['step']],
    [reached, reached, reached],
  )
  assert.deepEqual(outcome(run), expected)
})

test('a canceled training keeps a checkpoint and makes no adapter; retried it makes the same one', async () => {
  const id = await there.train(spec)
  await there.until(id, ({ type, step }) => type === 'metrics' && step! >= 3)
  const cancel = 'mutation ($id: ID!) { cancelRun(id: $id) { ... on Run { cancelRequestedAt } } }'
  const { cancelRun } = await there.client.query<any>(cancel, { id })
  assert.ok(cancelRun.cancelRequestedAt)
  const { run, events } = await there.ended(id)
  assert.deepEqual(
    [run.status, run.adapter, run.comparison, run.failure],
    ['CANCELED', null, null, null],
  )
  assert.equal(ofRuntime(events, 1).at(-1)!.type, 'interrupted')
  const kept = run.artifacts
    .filter(({ kind }: any) => kind === 'CHECKPOINT')
    .map(({ step }: any) => step)
  assert.equal(
    Math.max(...kept),
    ofRuntime(events, 1).findLast(({ type }) => type === 'metrics')!.step,
  )

  const retry =
    'mutation ($id: ID!) { retryRun(id: $id, idempotencyKey: "again") { __typename ... on Run { id } ... on Problem { message } } }'
  const { retryRun } = await there.client.query<any>(retry, { id })
  assert.equal(retryRun.__typename, 'Run', retryRun.message)
  assert.deepEqual(outcome((await there.ended(retryRun.id)).run), expected)
})

test('of all this nothing is left but what was to be kept', async () => {
  await there.idle()
  assert.deepEqual(await there.leftovers(), [])
  assert.deepEqual(await there.halfDone(), [])
})
