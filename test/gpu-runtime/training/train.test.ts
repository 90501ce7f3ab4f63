/** Twenty optimizer steps as TRL's trainer takes them; interruption; what AdamW and the schedules do, as PyTorch and transformers have them. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import type { Recipe, TrainSpec } from '#schema/spec.ts'
import { scheduleNames, type ScheduleOptions } from '#schema/schedules.ts'
import { Recipe as RecipeSchema } from '#schema/spec.ts'
import { key, lora, sites, sizesOf } from '#gpu-runtime/lora/lora.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { AdamW } from '#gpu-runtime/training/adamw.ts'
import { learningRate } from '#gpu-runtime/training/schedule.ts'
import { loadState, saveState, type TrainingState } from '#gpu-runtime/training/state.ts'
import { NonFinite } from '#gpu-runtime/error.ts'
import { train, type TrainEvent } from '#gpu-runtime/training/train.ts'
import type { PairSource } from '#gpu-runtime/training/pairs.ts'
import { assertClose } from '../closeness.ts'
import { collect, of } from './collect.ts'
import {
  absent,
  cases,
  loraOf,
  modelOf,
  readJson,
  readTensors,
  type CaseName,
  type Golden,
} from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

const source = ({ pairs }: Golden): PairSource => ({
  count: pairs.length,
  get: async (row) => ({ row, ...pairs[row]!, cut: { prompt: 0, chosen: 0, rejected: 0 } }),
  check: async () => {},
})

function specOf(golden: Golden, changes: Partial<Recipe> = {}): TrainSpec {
  const s = golden.training.settings
  return {
    kind: 'TRAIN',
    model: { path: '', revision: '' },
    adapter: null,
    quantization: 'NONE',
    dataset: { path: '', sha256: '', shuffle: false, limit: null, testSize: 0 },
    recipe: RecipeSchema.parse({
      beta: s.beta,
      learningRate: s.learning_rate,
      schedule: 'LINEAR',
      warmupSteps: s.warmup_steps,
      weightDecay: s.weight_decay,
      maxGradNorm: s.max_grad_norm,
      batchSize: s.per_device_train_batch_size,
      accumulation: s.gradient_accumulation_steps,
      maxSteps: s.max_steps,
      evalEvery: 0,
      checkpointEvery: 0,
      ...changes,
    }),
    lora: loraOf(golden),
    engine: { recompute: 'ATTENTION', compute: 'AUTO', tokenBudget: 64, threads: 1 },
    evaluate: [],
  }
}

async function startOf(name: CaseName, prefix: string): Promise<Float32Array<ArrayBuffer>> {
  const golden = readJson(name)
  const { config } = await openCheckpoint(modelOf(name))
  const tensors = await readTensors(name, prefix)
  return Float32Array.from(
    sites(config, loraOf(golden)).flatMap(({ path }) => [
      ...tensors.get(key(path, 'A'))!.data,
      ...tensors.get(key(path, 'B'))!.data,
    ]),
  )
}

const fresh = (trainables: Float32Array<ArrayBuffer>): TrainingState => ({
  step: 0,
  trainables: trainables.slice(),
  moments: { m: new Float32Array(trainables.length), v: new Float32Array(trainables.length) },
  window: { sums: {}, counts: {} },
  lossScale: null,
  best: null,
})

const trainOn = async (
  name: CaseName,
  spec: TrainSpec,
  resume: TrainingState | null,
  until = Infinity,
  golden = readJson(name),
): Promise<TrainEvent[]> => {
  const checkpoint = await openCheckpoint(modelOf(name))
  return await collect({ spec, checkpoint, pairs: source(golden), engine, resume }, until)
}

/** Every metric that TRL logs, step by step. */
function compareCurves(
  events: readonly TrainEvent[],
  steps: readonly Record<string, number>[],
): void {
  const curves = of(events, 'metrics')
  assert.equal(curves.length, steps.length)
  const names = [
    'loss',
    'nll_loss',
    'grad_norm',
    'learning_rate',
    'log_odds_ratio',
    'log_odds_chosen',
    'rewards/accuracies',
    'rewards/margins',
    'rewards/chosen',
    'rewards/rejected',
    'logps/chosen',
    'logps/rejected',
    'logits/chosen',
    'logits/rejected',
    'epoch',
  ]
  for (const metric of names)
    assertClose(
      curves.map((c) => c.values[metric]!),
      steps.map((s) => s[metric.replace('logits/', 'logits_predicting/')]!),
      { rtol: 1e-4, atol: 2e-5 },
      metric,
    )
}

for (const name of cases) {
  test(
    `${name}: twenty steps with AdamW, clipping, warm-up and accumulation equal TRL's`,
    { skip: absent(name) },
    async () => {
      const golden = readJson(name)
      const events = await trainOn(name, specOf(golden), fresh(await startOf(name, 'initial.')))
      compareCurves(events, golden.training.steps)
      assertClose(
        of(events, 'trained')[0]!.trainables,
        await startOf(name, 'final.'),
        { atol: 5e-5 },
        'the adapter after twenty steps',
      )
    },
  )
}

test('steps of fewer micro-batches and a micro-batch of one pair, at the end of an epoch, are as TRL’s', async () => {
  const { settings, steps } = readJson<Golden['training']>('uneven')
  const golden = readJson('tiny')
  golden.pairs = golden.pairs.slice(0, 7)
  golden.training.settings = settings
  compareCurves(
    await trainOn(
      'tiny',
      specOf(golden),
      fresh(await startOf('tiny', 'initial.')),
      Infinity,
      golden,
    ),
    steps,
  )
})

/** r = 64, so that some matrices have 8-bit moments and others are too small for them. */
const eightBits = { optimizer: 'ADAMW_8BIT', r: 64 } as const

for (const { logEvery, optimizer, r, dropout } of [
  { logEvery: 1, optimizer: 'ADAMW', r: 4, dropout: 0 },
  { logEvery: 3, optimizer: 'ADAMW', r: 4, dropout: 0.2 },
  { logEvery: 1, ...eightBits, dropout: 0 },
] as const) {
  test(`a run that is interrupted and resumed from its file has the curve and, byte for byte, the adapter of one that was not (${optimizer}, dropout ${dropout}, logging every ${logEvery})`, async () => {
    const golden = readJson('tiny')
    const spec = specOf(golden, { logEvery, optimizer })
    Object.assign(spec.lora, { r, dropout })
    const { config } = await openCheckpoint(modelOf('tiny'))
    const sizes = sizesOf(lora(config, spec.lora).trainables)
    const whole = await trainOn('tiny', spec, null)
    const first = await trainOn('tiny', spec, null, 7)
    const { state } = of(first, 'state').at(-1)!
    assert.equal(state.step, 7)
    assert.equal(of(first, 'trained').length, 0)
    for (const [name, vector] of Object.entries(state.moments))
      assert.ok(
        vector.some((x) => x !== 0),
        `${name} is in use`,
      )

    const directory = await mkdtemp(join(tmpdir(), 'oddsmith-state-'))
    const file = join(directory, 'checkpoint.safetensors')
    await saveState(file, state)
    const second = await trainOn('tiny', spec, await loadState(file, sizes, spec.recipe))
    const other = optimizer === 'ADAMW' ? 'ADAMW_8BIT' : 'ADAMW'
    await assert.rejects(
      loadState(file, sizes, { optimizer: other }),
      /"m(.codes)?" is missing, expected (U8|F32) \[/,
    )
    await rm(directory, { recursive: true })

    const values = (events: TrainEvent[]) =>
      of(events, 'metrics').map(({ step, values: { tokens_per_second, ...rest } }) => ({
        step,
        timed: tokens_per_second! > 0,
        ...rest,
      }))
    assert.deepEqual([...values(first), ...values(second)], values(whole))
    assert.deepEqual(of(second, 'trained')[0]!.trainables, of(whole, 'trained')[0]!.trainables)
  })
}

test('an adapter that is measured between steps is the one that is trained, and an interrupted measurement is made by the next attempt', async () => {
  const spec = specOf(readJson('tiny'))
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const training = { spec, checkpoint, pairs: source(readJson('tiny')), engine }
  /** The adapter's sum, and null at the `interrupted`-th time. */
  const probe = (every: number, interrupted = Infinity) => {
    let times = 0
    return {
      every,
      measure: async (flat: Float32Array) =>
        ++times === interrupted ? null : { eval_sum: flat.reduce((sum, x) => sum + x, 0) },
    }
  }
  const measured = (events: TrainEvent[]) =>
    of(events, 'metrics').flatMap(({ step, values: { eval_sum: sum } }) =>
      sum === undefined ? [] : [{ step, sum }],
    )
  const alone = of(await collect({ ...training, resume: null }), 'trained')[0]!
  const whole = await collect({ ...training, resume: null, probe: probe(0.3) })
  assert.deepEqual(of(whole, 'trained')[0]!.trainables, alone.trainables)
  const sums = measured(whole)
  assert.deepEqual(
    sums.map(({ step }) => step),
    [0, 6, 12, 18, 20],
  )
  assert.equal(
    sums.at(-1)!.sum,
    alone.trainables.reduce((sum, x) => sum + x, 0),
  )
  for (const [times, at] of [0, 6, 12, 18, 20].entries()) {
    const first = await collect({ ...training, resume: null, probe: probe(6, times + 1) })
    const { state } = of(first, 'state').at(-1)!
    assert.deepEqual([state.step, first.at(-1)!.type], [at, 'state'])
    const second = await collect({ ...training, resume: state, probe: probe(6) })
    assert.deepEqual([...measured(first), ...measured(second)], sums)
    assert.deepEqual(of(second, 'trained')[0]!.trainables, alone.trainables)
  }
})

test('what dropout drops depends on the seed, not on how pairs are gathered into runs; held-out rows are scored without it', async () => {
  const trained = await startOf('tiny', 'final.')
  const curves = async (dropout: number, tokenBudget: number, recipe: Partial<Recipe> = {}) => {
    const spec = specOf(readJson('tiny'), { maxSteps: 4, evalEvery: 0.5, ...recipe })
    spec.dataset.testSize = 2
    spec.engine.tokenBudget = tokenBudget
    spec.lora.dropout = dropout
    const metrics = of(await trainOn('tiny', spec, fresh(trained)), 'metrics')
    const series = (name: string) =>
      metrics.flatMap(({ values }) => (name in values ? [values[name]!] : []))
    return { losses: series('loss'), heldOut: series('eval_loss') }
  }
  const [one, all] = [await curves(0.3, 16), await curves(0.3, 4096)]
  assertClose(one.losses, all.losses, { rtol: 1e-4 }, 'losses, pair by pair and all at once')
  assert.notDeepEqual((await curves(0.3, 4096, { seed: 43 })).losses, all.losses)

  // At a rate that moves nothing, only what is dropped can make a difference.
  const learningRate = 1e-30
  const [dropping, whole] = [
    await curves(0.3, 4096, { learningRate }),
    await curves(0, 4096, { learningRate }),
  ]
  assert.ok(whole.losses.every((loss, i) => Math.abs(loss - dropping.losses[i]!) > 1e-3))
  assertClose(dropping.heldOut, whole.heldOut, { rtol: 1e-6 }, 'losses on the held-out rows')
})

test('with 8-bit moments, training goes where it goes with float32 ones', async () => {
  const losses = async (optimizer: Recipe['optimizer']) => {
    const spec = specOf(readJson('tiny'), { optimizer })
    spec.lora.r = eightBits.r
    return of(await trainOn('tiny', spec, null), 'metrics').map(({ values }) => values.loss!)
  }
  const [wide, narrow] = [await losses('ADAMW'), await losses('ADAMW_8BIT')]
  assert.ok(wide[0]! - wide.at(-1)! > 0.5, `${wide}`)
  assert.notDeepEqual(narrow, wide)
  assertClose(narrow, wide, { rtol: 0.02 }, 'losses of twenty steps')
})

test('a loss that leaves the numbers ends training and says which term did, at which step', async () => {
  const golden = readJson('tiny')
  const broken = fresh(await startOf('tiny', 'initial.'))
  broken.trainables.fill(1e30)
  await assert.rejects(
    trainOn('tiny', specOf(golden), broken),
    (error: unknown) =>
      error instanceof NonFinite &&
      /^step 1: (loss|nll_loss|logps\/chosen) is (NaN|Infinity)/.test(error.message),
  )
})

test('a pair that is longer than the model has positions is refused by its row, however short the training', async () => {
  const golden = readJson('tiny')
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const { config } = checkpoint
  golden.pairs[5]!.prompt = Array.from({ length: config.maxPositions }, () => 3)
  const run = train({
    spec: specOf(golden, { maxLength: config.maxPositions + 1, maxPromptLength: 8 }),
    checkpoint,
    pairs: source(golden),
    engine,
    resume: null,
    signal: new AbortController().signal,
  })
  await assert.rejects(
    Array.fromAsync(run),
    new RegExp(`row 5 .* the model has ${config.maxPositions} positions; set maxLength to at most`),
  )
})

/** transformers' names of schedule options and of curves. */
const optionNames: Readonly<Record<string, keyof ScheduleOptions>> = {
  num_cycles: 'cycles',
  power: 'power',
  lr_end: 'endRate',
  min_lr: 'minRate',
  min_lr_rate: 'minRatio',
  min_lr_ratio: 'minRatio',
  warmup_lr_rate: 'warmupStart',
  timescale: 'timescale',
  num_decay_steps: 'decaySteps',
  num_stable_steps: 'stableSteps',
  warmup_type: 'warmupCurve',
  decay_type: 'decayCurve',
}
const curveNames = { linear: 'LINEAR', cosine: 'COSINE', '1-sqrt': 'ONE_MINUS_SQRT' } as const

type Schedules = {
  learning_rate: number
  steps: number
  warmup_ratios: [ratio: number, steps: number, warmup: number][]
  cases: {
    name: string
    options: Record<string, number | keyof typeof curveNames>
    warmup_steps: number
    rates: number[]
  }[]
}

test('learning rates of every schedule equal transformers.get_scheduler', () => {
  const golden = readJson<Schedules>('schedules')
  const { learning_rate: peak, steps, cases: schedules } = golden
  assert.deepEqual(
    new Set(schedules.map(({ name }) => name.toUpperCase())),
    new Set(scheduleNames),
    'every schedule has a case',
  )
  for (const { name, options, warmup_steps: warmupSteps, rates } of schedules) {
    const recipe = RecipeSchema.parse({
      schedule: name.toUpperCase(),
      scheduleOptions: Object.fromEntries(
        Object.entries(options).map(([option, value]) => [
          optionNames[option],
          typeof value === 'string' ? curveNames[value] : value,
        ]),
      ),
      warmupSteps,
      learningRate: peak,
    })
    assertClose(
      rates.map((_, i) => learningRate(recipe, i + 1, steps)),
      rates,
      { rtol: 1e-12, atol: 1e-18 },
      `${name} ${JSON.stringify(options)}, warm-up ${warmupSteps}`,
    )
  }
})

test('a warm-up that is a part of the run has as many steps as transformers gives it', () => {
  for (const [warmupRatio, steps, expected] of readJson<Schedules>('schedules').warmup_ratios) {
    const recipe = RecipeSchema.parse({ warmupRatio, learningRate: 1 })
    const rates = Array.from({ length: steps }, (_, i) => learningRate(recipe, i + 1, steps))
    assert.equal(rates.indexOf(1), expected, `${warmupRatio} of ${steps}`)
  }
})

test('an option that a schedule does not take, and one that it needs, are named', () => {
  const issues = (recipe: unknown) =>
    RecipeSchema.safeParse(recipe).error?.issues.map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    )
  assert.deepEqual(issues({ scheduleOptions: { power: 2 } }), [
    'scheduleOptions.power: expected none: LINEAR takes no options',
  ])
  assert.deepEqual(issues({ schedule: 'POLYNOMIAL', learningRate: 1e-8 }), [
    'scheduleOptions.endRate: expected less than the learning rate, 1e-8, got 1e-7',
  ])
  assert.deepEqual(issues({ schedule: 'WARMUP_STABLE_DECAY', scheduleOptions: { minRate: 0 } }), [
    'scheduleOptions.minRate: expected none: WARMUP_STABLE_DECAY takes decaySteps, stableSteps, warmupCurve, decayCurve, minRatio, cycles',
    'scheduleOptions.decaySteps: expected a number of steps: WARMUP_STABLE_DECAY',
  ])
  assert.deepEqual(issues({ schedule: 'COSINE_WITH_MIN_LR' }), [
    'scheduleOptions.minRate: expected either minRate or minRatio: COSINE_WITH_MIN_LR',
  ])
  assert.match(issues({ schedule: 'REDUCE_LR_ON_PLATEAU' })![0]!, /follow the loss/)
})

test('AdamW moves a vector as torch.optim.AdamW does, with and without clipping and weight decay', async () => {
  type Step = { norm: number; x: number[]; m: number[]; v: number[] }
  const golden = readJson<{
    settings: {
      beta1: number
      beta2: number
      epsilon: number
      weight_decay: number
      max_norm: number
    }
    learning_rates: number[]
    start: number[]
    gradients: number[][]
    unclipped: Step[]
    clipped: Step[]
    undecayed: Step[]
  }>('adamw')
  const { beta1, beta2, epsilon, weight_decay, max_norm } = golden.settings
  for (const [steps, maxGradNorm, weightDecay] of [
    [golden.unclipped, 1e30, weight_decay],
    [golden.clipped, max_norm, weight_decay],
    [golden.undecayed, max_norm, 0],
  ] as const) {
    const optimizer = new AdamW(engine, { beta1, beta2, epsilon, weightDecay, maxGradNorm })
    await engine.write('trainables', Float32Array.from(golden.start))
    await engine.write('m', new Float32Array(golden.start.length))
    await engine.write('v', new Float32Array(golden.start.length))
    for (const [i, expected] of steps.entries()) {
      await engine.write('gradient', Float32Array.from(golden.gradients[i]!))
      const norm = await optimizer.step(i + 1, golden.learning_rates[i]!)
      assertClose([norm], [expected.norm], { rtol: 1e-6 }, 'norm')
      assertClose(
        await engine.read('trainables'),
        expected.x,
        { rtol: 1e-5, atol: 1e-7 },
        `x after step ${i + 1}`,
      )
      assertClose(
        await engine.read('m'),
        expected.m,
        { rtol: 1e-5, atol: 1e-9 },
        `m after step ${i + 1}`,
      )
      assertClose(
        await engine.read('v'),
        expected.v,
        { rtol: 1e-5, atol: 1e-12 },
        `v after step ${i + 1}`,
      )
    }
  }
})

test('the norm of five million gradients is exact to float32’s last digits', async () => {
  const n = 5_000_011
  const gradient = Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7) + 0.1)
  const expected = Math.sqrt(gradient.reduce((s, g) => s + g * g, 0)) // in float64
  const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
  const optimizer = new AdamW(engine, settings)
  for (const name of ['trainables', 'm', 'v']) await engine.write(name, new Float32Array(n))
  await engine.write('gradient', gradient)
  assertClose([await optimizer.step(1, 0.1)], [expected], { rtol: 2e-6 }, 'norm')
})
