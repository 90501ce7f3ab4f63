/** ORPO training of a LoRA adapter: an async generator of what happens, in the order in which it does. */
import { cpus } from 'node:os'
import type { TrainSpec } from '#schema/spec.ts'
import { split } from '../data/split.ts'
import { FormatError, NonFinite } from '../error.ts'
import { initialAdapter } from '../lora/addedRows.ts'
import { sizesOf } from '../lora/lora.ts'
import { meanHeadRow, type Checkpoint } from '../models/checkpoint.ts'
import { emit } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { LossScale } from './lossScale.ts'
import { floats, type Feeds } from '../tensor/feed.ts'
import { exhausted, judge, type Standing } from './best.ts'
import { Mean, notFinite, type Values } from './metrics.ts'
import { openOptimizer } from './optimizer.ts'
import { expectFits, type PairSource } from './pairs.ts'
import { Pipeline } from './pipeline.ts'
import { plan } from './plan.ts'
import { probeDue, type Probe } from './probe.ts'
import { prefetch } from './prefetch.ts'
import { runsOf, Tally, type Run, type RunMaker } from './runs.ts'
import { learningRate } from './schedule.ts'
import type { Best, TrainingState } from './state.ts'
import { leastRecompute } from './memory.ts'
import { stepProgram } from './step.ts'
import { look, Survey, type Cuts } from './survey.ts'

export type TrainEvent =
  /** The first step has begun. */
  | {
      readonly type: 'dataset'
      readonly rows: number
      readonly train: number
      readonly test: number
      readonly steps: number
    }
  /** Once, when the rows that are counted have been tokenized. */
  | { readonly type: 'cuts'; readonly cuts: Cuts }
  | { readonly type: 'metrics'; readonly step: number; readonly values: Values }
  | {
      readonly type: 'progress'
      readonly done: number
      readonly total: number
      readonly tokensPerSecond: number
      readonly etaSeconds: number
    }
  | { readonly type: 'state'; readonly state: TrainingState }
  /** The last: the trained adapter, flat, as it was after `step`: the last of `steps`, or that of the best evaluation. */
  | {
      readonly type: 'trained'
      readonly trainables: Float32Array<ArrayBuffer>
      readonly steps: number
      readonly step: number
      readonly best: Standing | null
      /** Early stopping ended it before the plan did. */
      readonly stopped: boolean
    }

const diverged = (step: number, values: Values, what: string): NonFinite =>
  new NonFinite(
    `step ${step}: ${what}; expected finite numbers. A lower learning rate or a smaller beta may help`,
    { step, values },
  )

export type Training = {
  readonly spec: TrainSpec
  readonly checkpoint: Checkpoint
  readonly pairs: PairSource
  readonly engine: Engine
  /** The adapter to go on from, flat; it moves to the engine. Absent: a new one. */
  readonly start?: Float32Array<ArrayBuffer> | null
  /** Where an earlier attempt stopped. */
  readonly resume: TrainingState | null
  /** Bytes that a run may take, for a spec that leaves recomputation to us; default what this process can still have. */
  readonly memory?: number
  /** Looks at the adapter between steps; null for nobody. */
  readonly probe?: Probe | null
  readonly signal: AbortSignal
}

export const threadsOf = (spec: { engine: { threads: number | null } }): number =>
  spec.engine.threads ?? cpus().length

/** Runs that are laid out while the engine is busy with those that it was given. */
const ahead = 2
/**
 * Train. An aborted signal ends the generator after the run in flight, with a last `state` of the steps that are whole. Memory does
 * not grow with the number of rows: they are read and tokenized shortly before the engine needs them.
 * Throws FormatError for bad rows and NonFinite when training diverges.
 */
export async function* train({
  spec,
  checkpoint,
  pairs,
  engine,
  start = null,
  resume,
  signal,
  memory = process.availableMemory(),
  probe = null,
}: Training): AsyncGenerator<TrainEvent> {
  const { recipe, lora, dataset } = spec
  const { config } = checkpoint
  const { train: trainRows, test } = split(pairs.count, { ...dataset, seed: recipe.seed })
  const steps = plan(trainRows.length, recipe, dataset.shuffle)
  const visited = concatenate(
    steps.firstEpoch().map((i) => trainRows[i]!),
    test,
  )
  const fitting: PairSource = {
    count: pairs.count,
    async get(row) {
      const pair = await pairs.get(row)
      expectFits(pair, config.maxPositions)
      return pair
    },
    check: (row) => pairs.check(row),
  }
  if (recipe.keepBest !== null && test.length === 0)
    throw new FormatError(
      `no held-out rows, by which the best adapter could be found: expected testSize above 0 and two rows or more, got testSize ${dataset.testSize} of ${trainRows.length} rows`,
    )
  await look(fitting, visited)

  const scale = engine.compute === 'float16' ? new LossScale(resume?.lossScale ?? undefined) : null
  const recompute =
    spec.engine.recompute === 'AUTO'
      ? leastRecompute(checkpoint, lora, recipe, spec.engine, engine, memory)
      : spec.engine.recompute
  const program = stepProgram(config, lora, recipe.beta, recompute, scale !== null)
  /** Of held-out rows, from which nothing is dropped. */
  const still =
    lora.dropout > 0
      ? stepProgram(config, { ...lora, dropout: 0 }, recipe.beta, recompute)
      : program
  const graph = emit(program, checkpoint.weight, engine.compute)
  // The engine's thread loads it while this one goes on.
  const opening = engine.open(graph)
  opening.catch(() => {})
  const maker: RunMaker = {
    config,
    recipe,
    tokenBudget: spec.engine.tokenBudget,
    headRow: await meanHeadRow(checkpoint),
    get: fitting.get,
  }
  const begin = (resume?.step ?? 0) + 1
  /** The runs of every step that is still to be done, and null after each step's last. */
  async function* stepRuns(): AsyncGenerator<Run | null> {
    for (let step = begin; step <= steps.steps; step++) {
      const coins = lora.dropout > 0 ? { seed: recipe.seed, step } : null
      yield* runsOf(
        { ...maker, coins },
        steps.microBatches(step).map((batch) => batch.map((i) => trainRows[i]!)),
      )
      yield null
    }
  }
  const feed = prefetch(stepRuns(), ahead)
  const survey = new Survey(fitting, visited, { all: recipe.maxLength > config.maxPositions })
  try {
    await engine.write(
      'trainables',
      resume?.trainables ?? start ?? (await initialAdapter(checkpoint, lora, recipe.seed)),
    )
    await engine.write('gradient', new Float32Array(graph.parameters))
    const sizes = sizesOf(program.trainables)
    const optimizer = await openOptimizer(engine, recipe, sizes, resume?.moments)
    const session = await opening

    let evaluation = null as Session | null
    const evaluate = async (step: number): Promise<Values> => {
      evaluation ??= await engine.open(
        emit(
          { outputs: still.outputs, trainables: still.trainables },
          checkpoint.weight,
          engine.compute,
        ),
      )
      const batches = Array.from({ length: Math.ceil(test.length / recipe.batchSize) }, (_, i) =>
        Array.from(test.subarray(i * recipe.batchSize, (i + 1) * recipe.batchSize)),
      )
      const tally = new Tally()
      for await (const run of prefetch(runsOf(maker, batches), ahead)) {
        tally.add(
          run,
          await evaluation.run(run.prepared.feeds, { resident: { trainables: 'trainables' } }),
        )
      }
      const values = tally.values(recipe)
      const wrong = notFinite(values)
      if (wrong) throw diverged(step, {}, `on the held-out rows ${wrong}`)
      return Object.fromEntries(Object.entries(values).map(([name, v]) => [`eval_${name}`, v]))
    }
    const evaluateEvery = Math.max(1, Math.ceil(steps.steps * recipe.evalEvery))
    const evaluationDue = (step: number) =>
      test.length > 0 &&
      recipe.evalEvery > 0 &&
      (step % evaluateEvery === 0 || step === steps.steps)
    const checkpointDue = (step: number) =>
      recipe.checkpointEvery > 0 && step % recipe.checkpointEvery === 0 && step < steps.steps

    const measured = (step: number) => probe !== null && probeDue(probe, step, steps.steps)

    let best: Best | null = resume?.best ?? null
    const keepBest = async (step: number, values: Values): Promise<void> => {
      if (recipe.keepBest === null) return
      const standing = judge(best?.standing ?? null, step, values[recipe.keepBest.metric]!, recipe)
      const trainables =
        best === null || standing.step === step ? await engine.read('trainables') : best.trainables
      best = { standing, trainables }
    }

    const mean = new Mean(resume?.window)
    const state = async (step: number): Promise<TrainingState> => {
      const { window } = mean
      const [trainables, moments] = await Promise.all([
        engine.read('trainables'),
        optimizer.moments(),
      ])
      return { step, trainables, moments, window, lossScale: scale?.state ?? null, best }
    }

    /** False: interrupted. An attempt that goes on from this step measures anew, and the adapter being the same, the same. */
    async function* measure(step: number): AsyncGenerator<TrainEvent, boolean> {
      const values = await probe!.measure(await engine.read('trainables'))
      if (values !== null) yield { type: 'metrics', step, values }
      else yield { type: 'state', state: await state(step) }
      return values !== null
    }

    const common = (): Feeds => (scale ? { lossScale: floats([scale.state.value], []) } : {})
    const pipeline = new Pipeline(session, feed)
    signal.throwIfAborted()
    await pipeline.begin(common())
    survey.begin()
    yield {
      type: 'dataset',
      rows: pairs.count,
      train: trainRows.length,
      test: test.length,
      steps: steps.steps,
    }
    if (measured(begin - 1) && !(yield* measure(begin - 1))) return
    const done = { tokens: 0, seconds: 0, steps: 0 }
    let since = performance.now()
    let cuts: Cuts | null = null
    let step = begin - 1
    while (step < steps.steps && !exhausted(best?.standing ?? null, recipe)) {
      step++
      const tally = new Tally()
      if (!signal.aborted)
        for await (const { run, outputs } of pipeline.answers()) {
          tally.add(run, outputs)
          survey.check()
          if (signal.aborted) break
        }
      if (signal.aborted) {
        yield { type: 'state', state: await state(step - 1) }
        return
      }
      const values = tally.values(recipe)
      const rate = learningRate(recipe, step, steps.steps)
      // Judged before the optimizer moves: a step that left the numbers must not reach the adapter.
      const wrong = notFinite(values)
      if (wrong) throw diverged(step, values, wrong)
      const moved = optimizer.step(step, rate)
      moved.catch(() => {})
      // Whatever needs the engine between two steps comes before the next one's first run, and so does a scale that the norm decides.
      const pause = scale !== null || evaluationDue(step) || measured(step) || checkpointDue(step)
      if (!pause) await pipeline.begin(common())
      const norm = await moved
      const finite = Number.isFinite(norm)
      if (!(scale?.update(finite) ?? finite))
        throw diverged(step, { ...values, grad_norm: norm }, `grad_norm is ${norm}`)

      const seconds = (performance.now() - since) / 1000
      since = performance.now()
      done.tokens += tally.tokens
      done.seconds += seconds
      done.steps++
      mean.add(finite ? { ...values, grad_norm: norm } : values)
      if (step % recipe.logEvery === 0 || step === steps.steps) {
        yield {
          type: 'metrics',
          step,
          values: {
            ...mean.take(),
            learning_rate: rate,
            epoch: steps.epoch(step),
            tokens_per_second: tally.tokens / seconds,
          },
        }
      }
      yield {
        type: 'progress',
        done: step,
        total: steps.steps,
        tokensPerSecond: done.tokens / done.seconds,
        etaSeconds: ((steps.steps - step) * done.seconds) / done.steps,
      }
      if (cuts === null && (cuts = survey.cuts) !== null) yield { type: 'cuts', cuts }
      if (evaluationDue(step)) {
        const held = await evaluate(step)
        yield { type: 'metrics', step, values: held }
        await keepBest(step, held)
      }
      if (measured(step) && !(yield* measure(step))) return
      const kept = checkpointDue(step) ? state(step) : null
      if (pause) {
        since = performance.now()
        await pipeline.begin(common())
      }
      if (kept) yield { type: 'state', state: await kept }
    }
    await survey.finish()
    if (cuts === null && survey.cuts !== null) yield { type: 'cuts', cuts: survey.cuts }
    const trainables = best?.trainables ?? (await engine.read('trainables'))
    await Promise.all([session.release(), evaluation?.release()])
    yield {
      type: 'trained',
      trainables,
      steps: step,
      step: best?.standing.step ?? step,
      best: best?.standing ?? null,
      stopped: step < steps.steps,
    }
  } finally {
    await survey.stop()
    await feed.return(undefined)
  }
}

function concatenate(a: Int32Array, b: Int32Array): Int32Array {
  const all = new Int32Array(a.length + b.length)
  all.set(a)
  all.set(b, a.length)
  return all
}
