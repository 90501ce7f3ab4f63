/** A sequential gate with real runtimes: an adapter that is much better passes long before the last document. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { install, smallTraining, uuid, type Event } from './installation.ts'

const there = await install()
const task = 'who_is_bigger'
const all = 440

const judged = `query ($id: ID!) { run(id: $id) {
  gateResult { verdict judgements { verdict because used saved n difference low level reason } }
  evaluations { finishedAt stoppedEarly adapter { id } samples(first: 100) { nodes { document } } }
  comparison { id }
} }`
const standings = 'query ($task: String!) { leaderboard(task: $task) { rows { value } } }'

const spec = {
  ...smallTraining,
  dataset: { path: embedded.dataset, testSize: 0 },
  recipe: {
    ...smallTraining.recipe,
    maxSteps: 150,
    warmupSteps: 10,
    evalEvery: 0,
    checkpointEvery: 150,
  },
  lora: { r: 8, alpha: 16 },
}
const gateAt = (margin: number) => ({
  sequential: true,
  rules: [{ kind: 'SUPERIORITY', margin, task }],
})
const gate = gateAt(0.1)

/** Samples that runtimes computed. */
const computedIn = (events: readonly Event[]): number =>
  events
    .filter(({ type }) => type === 'samples')
    .reduce((n, { body }) => n + (body['count'] as number), 0)

let adapterId = ''

test('an adapter that is much better passes early; its evaluations are no measurement of the benchmark', async () => {
  const id = await there.train({ ...spec, evaluate: { tasks: [{ task }], gate } })
  const { run, events } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  const { gateResult, evaluations, comparison } = (await there.client.query<any>(judged, { id }))
    .run
  adapterId = run.adapter.id
  const [found] = gateResult.judgements
  assert.deepEqual([gateResult.verdict, found.because], ['PASS', 'INTERVAL'], found.reason)
  assert.ok(found.saved > 0 && found.used + found.saved === all, found.reason)
  assert.ok(found.low > 0.1 && found.difference > 0.2, found.reason)
  assert.equal(comparison, null)
  assert.deepEqual(
    evaluations.map(({ finishedAt, stoppedEarly }: any) => [finishedAt, stoppedEarly]),
    [
      [null, true],
      [null, true],
    ],
  )
  const ends = events.filter(({ type }) => type === 'evaluated').map(({ body }) => body)
  assert.deepEqual(
    ends.map(({ documents, stopped }) => [documents, stopped]),
    [
      [found.used, true],
      [found.used, true],
    ],
  )
  const board = await there.client.query<any>(standings, { task })
  assert.deepEqual(board.leaderboard, [])
  // Its documents are a draw, not the first rows of the file.
  const drawn = evaluations[0].samples.nodes.map(({ document }: any) => document)
  assert.ok(Math.max(...drawn) > found.used, drawn.join())
  const { url, firstKey } = there.server
  const answer = await fetch(`${url}/runs/${uuid(id)}`, {
    headers: { authorization: `Bearer ${firstKey}` },
  })
  const page = await answer.text()
  assert.match(
    page,
    new RegExp(`stopped after ${found.used} of ${all} documents, ${found.saved} saved`),
  )

  // What was scored stays known by document: the same question draws the same documents, and computes none.
  const again = await there.ended(
    await there.evaluate({ adapterId: run.adapter.id, tasks: [{ task }], gate }),
  )
  assert.equal(again.run.status, 'SUCCEEDED', JSON.stringify(again.run.failure))
  assert.equal(computedIn(again.events), 0)
  const second = (await there.client.query<any>(judged, { id: again.run.id })).run.gateResult
  assert.deepEqual(second, gateResult)

  // And the whole benchmark then takes the others only.
  const whole = await there.ended(
    await there.evaluate({ adapterId: run.adapter.id, tasks: [{ task }] }),
  )
  assert.equal(whole.run.status, 'SUCCEEDED')
  assert.equal(computedIn(whole.events), found.saved)
})

test('kill -9 in the middle of a sequential gate: the next attempt goes on with what is known, and comes to a verdict', async () => {
  // Small batches on one thread, so that there is a middle.
  const rows = join(there.inputs, 'thrice.jsonl')
  await writeFile(rows, (await readFile(embedded.benchmark, 'utf8')).repeat(3))
  const id = await there.evaluate({
    adapterId,
    tasks: [{ task, rows, bos: 'ALWAYS' }],
    // Takes more documents.
    gate: gateAt(0.2),
    engine: { threads: 1, tokenBudget: 64 },
  })
  await there.until(id, ({ type }) => type === 'samples')
  await there.signal(id, 'SIGKILL')
  const { run, events } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  const { gateResult, evaluations } = (await there.client.query<any>(judged, { id })).run
  const [found] = gateResult.judgements
  assert.deepEqual([run.attempt, gateResult.verdict, found.because], [2, 'PASS', 'INTERVAL'])
  assert.ok(found.saved > 0 && found.used + found.saved === 3 * all, found.reason)
  assert.ok(evaluations.every(({ stoppedEarly }: any) => stoppedEarly))
  assert.ok(events.some(({ attempt, type }) => attempt === 2 && type === 'look'))
})
