/** A dataset goes through training without being held: made shortly before it is needed, looked at as a whole beside the work. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { Recipe, type TrainSpec } from '#schema/spec.ts'
import { FormatError } from '#gpu-runtime/error.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import type { PairSource } from '#gpu-runtime/training/pairs.ts'
import { prefetch } from '#gpu-runtime/training/prefetch.ts'
import { train, type TrainEvent } from '#gpu-runtime/training/train.ts'
import { loraOf, modelOf, readJson } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

const golden = readJson('tiny')
const checkpoint = await openCheckpoint(modelOf('tiny'))
const batch = 8
const rows = 4000
/** Rows that the survey tokenizes. */
const counted = 1000

/** The golden's eight pairs over and over; `asked` is told of every pair that is asked for. */
const source = (asked: (row: number) => void, bad = -1): PairSource => ({
  count: rows,
  async get(row) {
    asked(row)
    const cut = { prompt: row < 10 ? 2 : 0, chosen: 0, rejected: row === 0 ? 1 : 0 }
    return { row, ...golden.pairs[row % golden.pairs.length]!, cut }
  },
  async check(row) {
    if (row === bad) throw new FormatError(`row ${row}: bad`)
  },
})

const spec = (maxSteps: number): TrainSpec => ({
  kind: 'TRAIN',
  model: { path: '', revision: '' },
  adapter: null,
  quantization: 'NONE',
  dataset: { path: '', sha256: '', shuffle: false, limit: null, testSize: 0 },
  recipe: Recipe.parse({
    batchSize: batch,
    accumulation: 1,
    maxSteps,
    maxLength: 32,
    maxPromptLength: 16,
    evalEvery: 0,
    checkpointEvery: 0,
  }),
  lora: loraOf(golden),
  engine: { recompute: 'ATTENTION', compute: 'AUTO', tokenBudget: 64, threads: 1 },
  evaluate: [],
})

const start = (
  pairs: PairSource,
  maxSteps: number,
  resume: Parameters<typeof train>[0]['resume'] = null,
): AsyncGenerator<TrainEvent> =>
  train({
    spec: spec(maxSteps),
    checkpoint,
    pairs,
    engine,
    resume,
    signal: new AbortController().signal,
  })

test('items are made ahead, in order, no more of them than allowed, and fail where their turn comes', async () => {
  let made = 0
  async function* source() {
    for (; made < 6;) yield made++
    throw new Error('the seventh')
  }
  const seen: number[] = []
  await assert.rejects(async () => {
    for await (const item of prefetch(source(), 2)) {
      seen.push(item)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(made, Math.min(6, item + 3))
    }
  }, /the seventh/)
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5])
})

test('ending early ends the source', async () => {
  let ended = false
  async function* source() {
    try {
      for (let i = 0; ; i++) yield i
    } finally {
      ended = true
    }
  }
  for await (const item of prefetch(source(), 3)) if (item === 1) break
  assert.ok(ended)
})

test('rows are tokenized when their step is near, and again when they come again', async () => {
  const from = 300
  let newest = 0
  const asked = new Map<number, number>()
  const pairs = source((row) => {
    asked.set(row, (asked.get(row) ?? 0) + 1)
    if (row >= counted) newest = Math.max(newest, row)
  })
  const vector = () => new Float32Array(parameters)
  const parameters = await parametersOf()
  const resume = {
    step: from,
    trainables: vector(),
    moments: { m: vector(), v: vector() },
    window: { sums: {}, counts: {} },
    lossScale: null,
    best: null,
  }
  for await (const event of start(pairs, from + 20, resume)) {
    if (event.type !== 'progress') continue
    // Two runs in the engine and two that wait are at most the next two steps.
    assert.ok(newest < (event.done + 2) * batch, `step ${event.done}: row ${newest}`)
  }
  assert.equal(newest, (from + 20) * batch - 1)
  assert.ok([...asked].every(([row, times]) => row < counted || times === 1))
})

/** Trained values of the golden's adapter. */
async function parametersOf(): Promise<number> {
  for await (const event of start(
    source(() => {}),
    1,
  ))
    if (event.type === 'trained') return event.trainables.length
  throw new Error('nothing was trained')
}

test('a bad row is found while training is far from it', async () => {
  let reached = 0
  const steps = rows / batch
  await assert.rejects(async () => {
    for await (const event of start(
      source(() => {}, rows - 1),
      steps,
    ))
      if (event.type === 'progress') reached = event.done
  }, /row 3999: bad/)
  assert.ok(reached < steps / 2, `at step ${reached} of ${steps}`)
})

test('a file that is wrong from the beginning is refused before anything is computed', async () => {
  await assert.rejects(
    start(
      source(() => {}, 3),
      5,
    ).next(),
    /row 3: bad/,
  )
})

test('what was cut is said once, over the rows that training visits or the first thousand of them', async () => {
  for (const [steps, looked, pairs, tokens] of [
    [1, 8, 8, 17],
    [200, 1000, 10, 21],
  ] as const) {
    const cuts: unknown[] = []
    for await (const event of start(
      source(() => {}),
      steps,
    ))
      if (event.type === 'cuts') cuts.push(event.cuts)
    assert.deepEqual(cuts, [{ looked, pairs, tokens }])
  }
})
