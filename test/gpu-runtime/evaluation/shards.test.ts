/** Parts of an evaluation, computed apart by the real engine, are the undivided one to the bit. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { prepareTask, type Prepared } from '#gpu-runtime/evaluation/prepare.ts'
import { batchesOf, documentsOf, evaluate, whole, type Shard } from '#gpu-runtime/evaluation/run.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { embedded } from '#demo/embedded.ts'
import type { Sample } from '#schema/protocol.ts'
import { settingsOf } from './harness.ts'

const signal = new AbortController().signal
const engine = new Engine(1)
const folder = await mkdtemp(join(tmpdir(), 'oddsmith-shards-'))
after(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})
const checkpoint = await openCheckpoint(embedded.model)
const asker = {
  text: await openText(embedded.model),
  maxPositions: checkpoint.config.maxPositions,
}
const scorer = await openScorer(engine, checkpoint, [null])

/** Each document has two contexts of its own, which differ in length: its requests fall into several batches. */
async function winogrande(count: number): Promise<Prepared> {
  const rows = join(folder, `winogrande.${count}.jsonl`)
  const names = ['the bear', 'a mouse', 'the very old and very grey elephant', 'an ant']
  const lines = Array.from({ length: count }, (_, i) => ({
    sentence: `${'so '.repeat(i % 7)}the cat saw ${names[i % 4]} and said that _ is bigger than ${i}`,
    option1: names[(i + 1) % 4],
    option2: names[(i + 2) % 4],
    answer: String(1 + (i % 2)),
  }))
  await writeFile(rows, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return prepareTask(settingsOf({ task: 'winogrande' }), { rows, examples: null }, asker, signal)
}
const tasks: Readonly<Record<string, Prepared>> = {
  who_is_bigger: await prepareTask(
    settingsOf({ task: 'who_is_bigger', limit: 120 }),
    { rows: embedded.benchmark, examples: null },
    asker,
    signal,
  ),
  winogrande: await winogrande(60),
}
const budget = 128

async function samplesOf(
  task: Prepared,
  shard: Shard = whole,
  wanted: ReadonlySet<number> | null = null,
): Promise<Sample[]> {
  const batches = await Array.fromAsync(evaluate(task, scorer, budget, signal, shard, wanted))
  return batches.flatMap(({ samples }) => samples[0]!)
}
const sorted = (samples: readonly Sample[]) => samples.toSorted((a, b) => a.document - b.document)

for (const [name, task] of Object.entries(tasks))
  test(`${name}: two and three shards give every log-likelihood of the undivided evaluation, exactly`, async () => {
    const expected = sorted(await samplesOf(task))
    assert.equal(expected.length, task.documents.length)
    for (const count of [2, 3]) {
      const parts: Sample[][] = []
      for (let index = 0; index < count; index++) {
        const part = await samplesOf(task, { index, count })
        const share = part.length / task.documents.length
        assert.ok(share > 0.5 / count && share < 2 / count, `shard ${index} of ${count}: ${share}`)
        const own = documentsOf(task, budget, { index, count }).map((d) => task.documents[d]!.index)
        assert.deepEqual(
          sorted(part).map(({ document }) => document),
          own,
        )
        parts.push(part)
      }
      assert.deepEqual(sorted(parts.flat()), expected)
    }
  })

test('what is left of an interrupted evaluation is computed in the batches it would have been in', async () => {
  const task = tasks['who_is_bigger']!
  const expected = await samplesOf(task)
  const batches = batchesOf(task, budget)
  const done = new Set(
    batches
      .slice(0, batches.length / 2)
      .flat()
      .flatMap(({ items }) => items.map((i) => i.document)),
  )
  const left = new Set([...task.documents.keys()].filter((d) => !done.has(d)))
  const rest = await samplesOf(task, whole, left)
  assert.deepEqual(rest, expected.slice(-left.size))
})

test('any documents can be left out; the others get the same log-likelihoods, in fewer batches', async () => {
  for (const task of Object.values(tasks)) {
    const expected = sorted(await samplesOf(task))
    const wanted = new Set([...task.documents.keys()].filter((d) => d % 5 === 0))
    const found = sorted(await samplesOf(task, whole, wanted))
    assert.deepEqual(
      found.map(({ document }) => document),
      [...wanted].map((d) => task.documents[d]!.index),
    )
    assert.deepEqual(
      found,
      expected.filter((_, d) => wanted.has(d)),
    )
    const batches = await Array.fromAsync(evaluate(task, scorer, budget, signal, whole, wanted))
    assert.ok(batches.length < batchesOf(task, budget).length / 2, `${batches.length} batches`)
  }
})

test('20,000 batches that share documents are divided within seconds', async () => {
  const requests = (document: number) =>
    [5, 40, 11].map((length) => ({
      context: Array.from({ length }, (_, i) => document + i),
      choices: [[1]],
      scored: [1],
    }))
  const one = tasks['winogrande']!.documents[0]!
  const documents = Array.from({ length: 20_000 }, (_, index) => ({
    ...one,
    index,
    scored: requests(index),
  }))
  const task = { ...tasks['winogrande']!, documents }
  const begin = performance.now()
  const parts = [0, 1, 2].map((index) => documentsOf(task, 56, { index, count: 3 }))
  const seconds = (performance.now() - begin) / 1000
  assert.ok(batchesOf(task, 56).length >= 20_000)
  assert.deepEqual(
    parts.flat().toSorted((a, b) => a - b),
    [...documents.keys()],
  )
  assert.ok(seconds < 30, `${seconds.toFixed(1)} s`)
})
