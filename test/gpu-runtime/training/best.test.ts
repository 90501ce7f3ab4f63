/** Keeping the best adapter and stopping early: by transformers' rules, through interruptions, and down to the adapter that is stored. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { evaluationMetrics, Recipe, type TrainSpec } from '#schema/spec.ts'
import { FormatError } from '#gpu-runtime/error.ts'
import { lora, sizesOf } from '#gpu-runtime/lora/lora.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { exhausted, judge, type Standing } from '#gpu-runtime/training/best.ts'
import { loadState, saveState, type TrainingState } from '#gpu-runtime/training/state.ts'
import type { TrainEvent } from '#gpu-runtime/training/train.ts'
import { loraOf, modelOf, readJson } from '../golden.ts'
import { collect, of } from './collect.ts'

const engine = new Engine(1)
after(() => engine.close())
const golden = readJson('tiny')
const checkpoint = await openCheckpoint(modelOf('tiny'))
const rows = golden.pairs.length

test('the best evaluation and the end are those of transformers', () => {
  type Row = { value: number; best: number; step: number; stop: boolean }
  type Case = { goal: 'MIN' | 'MAX'; patience: number; minDelta: number; rows: Row[] }
  const cases = readJson<Case[]>('earlyStopping')
  assert.ok(
    cases.some(({ rows }) => rows.at(-1)!.stop) && cases.some(({ rows }) => !rows.at(-1)!.stop),
  )
  for (const { goal, patience, minDelta, rows } of cases) {
    const recipe = Recipe.parse({ keepBest: { goal }, earlyStopping: { patience, minDelta } })
    let standing: Standing | null = null
    for (const [i, { value, best, step, stop }] of rows.entries()) {
      standing = judge(standing, 10 * (i + 1), value, recipe)
      assert.deepEqual(
        [standing.value, standing.step, exhausted(standing, recipe)],
        [best, step, stop],
        `${goal}, patience ${patience}, minDelta ${minDelta}, evaluation ${i + 1}`,
      )
    }
  }
})

/** Six rows to train on, two held out, evaluated after every other step. */
const specOf = (changes: Record<string, unknown>, testSize = 2): TrainSpec => ({
  kind: 'TRAIN',
  model: { path: '', revision: '' },
  adapter: null,
  quantization: 'NONE',
  dataset: { path: '', sha256: '', shuffle: false, limit: null, testSize },
  recipe: Recipe.parse({
    learningRate: 0.02,
    schedule: 'CONSTANT',
    batchSize: 2,
    accumulation: 1,
    maxSteps: 20,
    maxLength: 32,
    maxPromptLength: 16,
    evalEvery: 0.1,
    checkpointEvery: 0,
    ...changes,
  }),
  lora: loraOf(golden),
  engine: { recompute: 'ATTENTION', compute: 'AUTO', tokenBudget: 64, threads: 1 },
  evaluate: [],
})

async function run(
  spec: TrainSpec,
  resume: TrainingState | null = null,
  until = Infinity,
): Promise<TrainEvent[]> {
  const pairs = {
    count: rows,
    get: async (row: number) => ({
      row,
      ...golden.pairs[row]!,
      cut: { prompt: 0, chosen: 0, rejected: 0 },
    }),
    check: async () => {},
  }
  return await collect({ spec, checkpoint, pairs, engine, resume }, until)
}

const held = (events: readonly TrainEvent[], metric: string) =>
  of(events, 'metrics').flatMap(({ step, values }) =>
    metric in values ? [{ step, value: values[metric]! }] : [],
  )

test('every metric that can be chosen is measured', async () => {
  const events = await run(specOf({ maxSteps: 2, evalEvery: 1 }))
  const names = of(events, 'metrics').flatMap(({ values }) => Object.keys(values))
  assert.deepEqual(
    names.filter((name) => name.startsWith('eval_')).toSorted(),
    evaluationMetrics.toSorted(),
  )
})

test('the adapter of the best evaluation is the one that training to that step makes', async () => {
  // So high a rate overfits six rows: the loss on the others falls and rises again.
  const events = await run(specOf({ keepBest: {} }))
  const losses = held(events, 'eval_loss')
  const lowest = losses.reduce((a, b) => (b.value < a.value ? b : a))
  const [trained] = of(events, 'trained')
  assert.equal(losses.length, 10)
  assert.ok(lowest.step < 20, `lowest after step ${lowest.step}`)
  assert.deepEqual([trained!.steps, trained!.step, trained!.stopped], [20, lowest.step, false])
  assert.equal(trained!.best!.value, lowest.value)
  const shorter = await run(specOf({ maxSteps: lowest.step, evalEvery: 0 }))
  assert.deepEqual(trained!.trainables, of(shorter, 'trained')[0]!.trainables)
})

test('training ends when nothing is gained any more, also when it was interrupted while it waited', async () => {
  const spec = specOf({ keepBest: { metric: 'eval_loss' }, earlyStopping: { patience: 2 } })
  const whole = await run(spec)
  const [ended] = of(whole, 'trained')
  assert.ok(ended!.stopped && ended!.steps < 20, `after step ${ended!.steps}`)
  assert.equal(ended!.steps, ended!.step + 4, 'two evaluations after the best')

  const before = await run(spec, null, ended!.steps - 1)
  const { state } = of(before, 'state').at(-1)!
  assert.equal(state.best!.standing.waited, 1)
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-best-'))
  const file = join(directory, 'checkpoint.safetensors')
  await saveState(file, state)
  const sizes = sizesOf(lora(checkpoint.config, spec.lora).trainables)
  const rest = await run(spec, await loadState(file, sizes, spec.recipe))
  await rm(directory, { recursive: true })
  assert.deepEqual(of(rest, 'trained'), of(whole, 'trained'))
  assert.deepEqual(
    [...held(before, 'eval_loss'), ...held(rest, 'eval_loss')],
    held(whole, 'eval_loss'),
  )
})

test('without rows to hold out there is no best: refused before anything is computed', async () => {
  await assert.rejects(
    run(specOf({ keepBest: {} }, 0)),
    (error) =>
      error instanceof FormatError &&
      /no held-out rows.*got testSize 0 of 8 rows/.test(error.message),
  )
})

test('a recipe that keeps the best without evaluations, or stops early without a best, is refused', () => {
  const messages = (recipe: object) =>
    Recipe.safeParse(recipe).error!.issues.map((i) => `${i.path.join('.')}: ${i.message}`)
  assert.match(
    messages({ keepBest: {}, evalEvery: 0 })[0]!,
    /^keepBest: expected evalEvery above 0/,
  )
  assert.match(
    messages({ earlyStopping: { patience: 1 } })[0]!,
    /^earlyStopping: expected keepBest/,
  )
  assert.match(messages({ keepBest: { metric: 'eval_bleu' } })[0]!, /^keepBest.metric: /)
})
