/** ORPO training of a LoRA adapter: an async generator of what happens, in the order in which it does. */
import { cpus } from 'node:os'
import { nllOf, type TrainSpec } from '#schema/spec.ts'
import { split } from '../data/split.ts'
import type { Pair } from '../data/pair.ts'
import { initial, sizesOf } from '../lora/lora.ts'
import { meanHeadRow, type Checkpoint } from '../models/checkpoint.ts'
import { emit } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { byBudget } from '../data/batches.ts'
import { Mean, microBatchMetrics, notFinite, type Values } from './metrics.ts'
import { NonFinite } from '../error.ts'
import { survey, type PairSource } from './pairs.ts'
import { openOptimizer } from './optimizer.ts'
import { plan } from './plan.ts'
import { learningRate } from './schedule.ts'
import type { TrainingState } from './state.ts'
import {
  denominators,
  outcomes,
  prepare,
  stepProgram,
  streamTokens,
  type Denominators,
  type PairOutcome,
} from './step.ts'

export type TrainEvent =
  | {
      readonly type: 'dataset'
      readonly rows: number
      readonly train: number
      readonly test: number
      readonly cutPairs: number
      readonly cutTokens: number
      readonly steps: number
    }
  | { readonly type: 'metrics'; readonly step: number; readonly values: Values }
  | {
      readonly type: 'progress'
      readonly done: number
      readonly total: number
      readonly tokensPerSecond: number
      readonly etaSeconds: number
    }
  | { readonly type: 'state'; readonly state: TrainingState }
  /** The last: the trained adapter, flat. */
  | {
      readonly type: 'trained'
      readonly trainables: Float32Array<ArrayBuffer>
      readonly steps: number
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
  /** Where an earlier attempt stopped. */
  readonly resume: TrainingState | null
  readonly signal: AbortSignal
}

export const threadsOf = (spec: { engine: { threads: number | null } }): number =>
  spec.engine.threads ?? cpus().length

type Weighted = {
  readonly pair: Pair
  readonly denominators: Denominators
  readonly microBatch: number
}

/**
 * Train. An aborted signal ends the generator after the step in flight, with a last `state` of the steps that are whole.
 * Throws FormatError for bad rows and NonFinite when training diverges.
 */
export async function* train({
  spec,
  checkpoint,
  pairs,
  engine,
  resume,
  signal,
}: Training): AsyncGenerator<TrainEvent> {
  const { recipe, lora, dataset } = spec
  const { config } = checkpoint
  const { train: trainRows, test } = split(pairs.count, { ...dataset, seed: recipe.seed })
  const steps = plan(trainRows.length, recipe, dataset.shuffle)
  const firstEpoch = Array.from({ length: Math.min(steps.steps, steps.stepsPerEpoch) }, (_, i) =>
    steps.microBatches(i + 1),
  ).flat(2)
  const surveyed = [...firstEpoch.map((i) => trainRows[i]!), ...test]
  const cuts = await survey(pairs, surveyed, config.maxPositions, signal)
  yield {
    type: 'dataset',
    rows: pairs.count,
    train: trainRows.length,
    test: test.length,
    cutPairs: cuts.pairs,
    cutTokens: cuts.tokens,
    steps: steps.steps,
  }

  const headRow = await meanHeadRow(checkpoint)
  const program = stepProgram(config, lora, recipe.beta, spec.engine.recompute)
  const graph = emit(program, checkpoint.weight, engine.compute)
  const session = await engine.open(graph)
  const evaluation =
    test.length > 0 && recipe.evalEvery > 0
      ? await engine.open(
          emit(
            { outputs: program.outputs, trainables: program.trainables },
            checkpoint.weight,
            engine.compute,
          ),
        )
      : null
  const optimizer = await openOptimizer(
    engine,
    recipe,
    sizesOf(program.trainables),
    resume?.moments,
  )
  await engine.write('trainables', resume ? resume.trainables : initial(config, lora, recipe.seed))

  /** Micro-batches of dataset rows as pairs with their denominators. */
  const load = async (microBatches: readonly (readonly number[])[]): Promise<Weighted[]> => {
    const batches = await Promise.all(
      microBatches.map((batch) => Promise.all(batch.map((row) => pairs.get(row)))),
    )
    return batches.flatMap((batch, microBatch) => {
      const each = denominators(batch, recipe, batches.length)
      return batch.map((pair, i) => ({ pair, denominators: each[i]!, microBatch }))
    })
  }

  /** Run pairs through a graph; the loss is summed, everything else stays by micro-batch. */
  const run = async (
    weighted: readonly Weighted[],
    over: Session,
    accumulate: Record<string, string>,
  ) => {
    let [loss, nll, tokens] = [0, 0, 0]
    const byMicroBatch = new Map<number, PairOutcome[]>()
    for (const batch of byBudget(weighted, (w) => streamTokens(w.pair), spec.engine.tokenBudget)) {
      const prepared = prepare(
        config,
        batch.map((w) => w.pair),
        batch.map((w) => w.denominators),
        nllOf(recipe),
        headRow,
      )
      const outputs = await over.run(prepared.feeds, {
        resident: { trainables: 'trainables' },
        accumulate,
      })
      loss += outputs.loss!.data[0]!
      nll += outputs.nll!.data[0]!
      tokens += prepared.tokens
      outcomes(prepared, outputs).forEach((o, i) => {
        const at = batch[i]!.microBatch
        byMicroBatch.set(at, [...(byMicroBatch.get(at) ?? []), o])
      })
    }
    const mean = new Mean()
    for (const outcome of byMicroBatch.values()) mean.add(microBatchMetrics(outcome, recipe))
    return { values: { loss, nll_loss: nll, ...mean.take() }, tokens }
  }

  const evaluate = async (step: number): Promise<Values> => {
    const batches = Array.from({ length: Math.ceil(test.length / recipe.batchSize) }, (_, i) =>
      test.slice(i * recipe.batchSize, (i + 1) * recipe.batchSize),
    )
    const { values } = await run(await load(batches), evaluation!, {})
    const wrong = notFinite(values)
    if (wrong) throw diverged(step, {}, `on the held-out rows ${wrong}`)
    return Object.fromEntries(Object.entries(values).map(([name, v]) => [`eval_${name}`, v]))
  }

  const state = async (step: number): Promise<TrainingState> => ({
    step,
    trainables: await engine.read('trainables'),
    moments: await optimizer.moments(),
    window: mean.window,
  })

  const evaluateEvery = Math.max(1, Math.ceil(steps.steps * recipe.evalEvery))
  const mean = new Mean(resume?.window)
  const done = { tokens: 0, seconds: 0, steps: 0 }
  let since = performance.now()
  for (let step = (resume?.step ?? 0) + 1; step <= steps.steps; step++) {
    if (signal.aborted) {
      yield { type: 'state', state: await state(step - 1) }
      return
    }
    await engine.write('gradient', new Float32Array(graph.parameters))
    const batch = steps.microBatches(step).map((b) => b.map((i) => trainRows[i]!))
    const { values, tokens } = await run(await load(batch), session, { gradient: 'gradient' })
    const rate = learningRate(recipe, step, steps.steps)
    // Judged before the optimizer moves: a step that left the numbers must not reach the adapter.
    const wrong = notFinite(values)
    if (wrong) throw diverged(step, values, wrong)
    const norm = await optimizer.step(step, rate)
    if (!Number.isFinite(norm))
      throw diverged(step, { ...values, grad_norm: norm }, `grad_norm is ${norm}`)

    const seconds = (performance.now() - since) / 1000
    since = performance.now()
    done.tokens += tokens
    done.seconds += seconds
    done.steps++
    mean.add({ ...values, grad_norm: norm })
    if (step % recipe.logEvery === 0 || step === steps.steps) {
      yield {
        type: 'metrics',
        step,
        values: {
          ...mean.take(),
          learning_rate: rate,
          epoch: step / steps.stepsPerEpoch,
          tokens_per_second: tokens / seconds,
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
    if (evaluation && (step % evaluateEvery === 0 || step === steps.steps)) {
      yield { type: 'metrics', step, values: await evaluate(step) }
    }
    const checkpointDue =
      recipe.checkpointEvery > 0 && step % recipe.checkpointEvery === 0 && step < steps.steps
    if (checkpointDue) yield { type: 'state', state: await state(step) }
    since = performance.now()
  }
  const trainables = await engine.read('trainables')
  await Promise.all([session.release(), evaluation?.release(), optimizer.release()])
  yield { type: 'trained', trainables, steps: steps.steps }
}
