/** Benchmark questions that were planted among the training rows are known as such wherever the adapter's scores are shown. */
import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { stream } from '#gpu-runtime/random.ts'
import { install, smallTraining } from './installation.ts'

const there = await install()

const words = 'the ant or snail which is bigger smaller lion dog goat rhino and Eve Kai Ben Cleo'
const vocabulary = words.split(' ')
/** 30 words in an order that no other name gets. */
const text = (name: string): string =>
  Array.from(
    stream(1, name)
      .shuffle(vocabulary.length * 2)
      .subarray(0, 30),
    (i) => vocabulary[i % vocabulary.length]!,
  ).join(' ')

const documents = 40
const benchmark = join(there.inputs, 'benchmark.jsonl')
await writeFile(
  benchmark,
  Array.from({ length: documents }, (_, d) =>
    JSON.stringify({
      id: String(d),
      messages: [{ role: 'user', content: text(`question ${d}`) }],
      choices: ['the ant', 'the lion'],
      gold: d % 2,
    }),
  ).join('\n'),
)

/** By row, the prompts that have to do with the benchmark. */
const planted = new Map<number, string>([
  [5, text('question 3')],
  [17, `${text('question 11').toUpperCase().split(' ').join(', ')}?!`],
  [23, text('question 30').split(' ').slice(0, 15).join(' ')],
  [29, text('question 3')],
  // Behind the rows that are trained on.
  [60, text('question 20')],
])
const found: readonly (readonly [document: number, row: number])[] = [
  [3, 5],
  [11, 17],
  [30, 23],
]
const dataset = join(there.inputs, 'preferences.jsonl')
await writeFile(
  dataset,
  Array.from({ length: 70 }, (_, row) =>
    JSON.stringify({
      prompt: planted.get(row) ?? text(`row ${row}`),
      chosen: 'the ant',
      rejected: 'the lion',
    }),
  ).join('\n'),
)

const first = await there.ended(
  await there.train({
    ...smallTraining,
    dataset: { path: dataset, limit: 60, shuffle: false, testSize: 0 },
    recipe: { ...smallTraining.recipe, evalEvery: 0, maxSteps: 8 },
    evaluate: { tasks: [{ task: 'who_is_bigger', rows: benchmark }] },
  }),
)

type Sample = {
  document: number
  contamination: number | null
  contaminatedBy: { row: number } | null
  scores: { metric: string; value: number }[]
}
type Evaluation = {
  id: string
  adapter: { id: string } | null
  documents: number
  contaminated: number | null
  scores: { metric: string; n: number; value: number; cleanN: number; cleanValue: number }[]
  samples: { nodes: Sample[] }
}
async function evaluationsOf(run: string): Promise<Evaluation[]> {
  const document = `query ($id: ID!) { run(id: $id) { evaluations { id documents contaminated adapter { id }
    scores { metric n value cleanN cleanValue }
    samples(first: 100) { nodes { document contamination contaminatedBy { row } scores { metric value } } } } } }`
  return (await there.client.query<any>(document, { id: run })).run.evaluations
}
const accuracy = (samples: readonly Sample[]) =>
  samples
    .map(({ scores }) => scores.find(({ metric }) => metric === 'acc')!.value)
    .reduce((sum, score, _, { length }) => sum + score / length, 0)
const assertNear = (got: number, expected: number) => assert.ok(Math.abs(got - expected) < 1e-12)

test('exactly the planted questions are found, with the first row that has them', async () => {
  const [base, tuned] = [false, true].map(
    (isTuned) => (e: Evaluation) => (e.adapter !== null) === isTuned,
  )
  const evaluations = await evaluationsOf(first.run.id)
  const [ofBase, ofTuned] = [evaluations.find(base!)!, evaluations.find(tuned!)!]
  assert.equal(ofBase.contaminated, null)
  assert.ok(ofBase.samples.nodes.every(({ contamination }) => contamination === null))
  assert.equal(ofTuned.contaminated, found.length)
  const seen = ofTuned.samples.nodes.filter(({ contamination }) => contamination! > 0)
  assert.deepEqual(
    seen.map(({ document, contaminatedBy }) => [document, contaminatedBy!.row]),
    found,
  )
  const [whole, shouted, half] = seen.map(({ contamination }) => contamination!)
  assert.ok(
    whole! > 0.85 && shouted! > 0.85 && half! > 0.35 && half! < 0.55,
    `${[whole, shouted, half]}`,
  )

  const unseen = ({ document }: Sample) => found.every(([d]) => d !== document)
  const acc = ofTuned.scores.find(({ metric }) => metric === 'acc')!
  assert.deepEqual([acc.n, acc.cleanN], [documents, documents - found.length])
  assertNear(acc.cleanValue, accuracy(ofTuned.samples.nodes.filter(unseen)))

  const document =
    'query ($id: ID!) { run(id: $id) { comparison { tasks { metric n clean { n baseline candidate difference low high } } } } }'
  const { run } = await there.client.query<any>(document, { id: first.run.id })
  const { n, clean } = run.comparison.tasks.find(({ metric }: any) => metric === 'acc')
  assert.deepEqual([n, clean.n], [documents, documents - found.length])
  assertNear(clean.baseline, accuracy(ofBase.samples.nodes.filter(unseen)))
  assertNear(clean.candidate, accuracy(ofTuned.samples.nodes.filter(unseen)))
  assert.ok(clean.low <= clean.difference && clean.difference <= clean.high)

  const board =
    '{ leaderboard(task: "who_is_bigger") { rows { adapter { id } value cleanN cleanValue } } }'
  const { leaderboard } = await there.client.query<any>(board)
  const rows = leaderboard.flatMap(({ rows }: any) => rows)
  const row = rows.find(({ adapter }: any) => adapter?.id === ofTuned.adapter!.id)
  assert.deepEqual([row.cleanN, row.cleanValue], [acc.cleanN, acc.cleanValue])
  assert.ok(rows.every(({ adapter, cleanN }: any) => adapter !== null || cleanN === null))
})

test('what goes on from an adapter has seen its rows too', async () => {
  const { run } = await there.ended(
    await there.train({
      ...smallTraining,
      adapterId: first.run.adapter.id,
      recipe: { ...smallTraining.recipe, maxSteps: 1 },
      evaluate: { tasks: [{ task: 'who_is_bigger', rows: benchmark, limit: 15 }] },
    }),
  )
  const [evaluation] = (await evaluationsOf(run.id)).filter(({ adapter }) => adapter !== null)
  assert.equal(evaluation!.contaminated, 2)
})

test('a later evaluation of the adapter looks too, also at samples that are taken over, while the rows are what they were', async () => {
  const adapterId = first.run.adapter.id
  const evaluate = async (limit: number) => {
    const tasks = [{ task: 'who_is_bigger', rows: benchmark, limit }]
    const { run, events } = await there.ended(await there.evaluate({ adapterId, tasks }))
    assert.equal(run.status, 'SUCCEEDED')
    return { evaluation: (await evaluationsOf(run.id))[0]!, events }
  }
  const { evaluation, events } = await evaluate(20)
  assert.ok(events.every(({ type }) => type !== 'samples'))
  assert.deepEqual([evaluation.documents, evaluation.contaminated], [20, 2])
  await appendFile(dataset, '\n{}')
  const after = await evaluate(10)
  assert.equal(after.evaluation.contaminated, null)
  const warnings = after.events.filter(({ body }) => body['level'] === 'warn')
  assert.match(
    warnings.map(({ body }) => body['message']).join(),
    /has changed since the run was made/,
  )
})

test('the embedded benchmark has nothing in common with the embedded preferences', async () => {
  const { run } = await there.ended(
    await there.train({
      ...smallTraining,
      dataset: { path: embedded.dataset },
      recipe: { ...smallTraining.recipe, maxSteps: 120 },
      evaluate: { tasks: [{ task: 'who_is_bigger' }] },
    }),
  )
  const [evaluation] = (await evaluationsOf(run.id)).filter(({ adapter }) => adapter !== null)
  assert.deepEqual([evaluation!.documents, evaluation!.contaminated], [440, 0])
})
