/** Training a model from scratch: the same definition, with every tensor of the checkpoint trained. */
import type { Recipe } from '#schema/spec.ts'
import { layout, stream } from '../models/forest.ts'
import { decoder, type Parts } from '../models/decoder.ts'
import { logProbabilities, place, predictionCount } from '../models/predictions.ts'
import type { DecoderConfig } from '../models/config.ts'
import { sizesOf } from '../lora/lora.ts'
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine } from '../onnx/engine.ts'
import { floats } from '../tensor/feed.ts'
import { stream as noise } from '../random.ts'
import { gradient } from '../tensor/gradient.ts'
import {
  cast,
  constant,
  input,
  matmul,
  mul,
  neg,
  reshape,
  total,
  trainable,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { openOptimizer } from './optimizer.ts'
import { learningRate } from './schedule.ts'

export type NamedTensor = {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array
}

export type Pretraining = {
  readonly config: DecoderConfig
  readonly engine: Engine
  readonly steps: number
  /** Token sequences of step 1, 2, ...; every token but a sequence's first is predicted. */
  readonly batch: (step: number) => readonly (readonly number[])[]
  readonly recipe: Recipe
  /** Standard deviation of the matrices at the start. */
  readonly deviation: number
  readonly seed: number
}

function program(config: DecoderConfig): { emitted: Emitted; trainables: readonly Tensor[] } {
  const tensors = new Map<string, Tensor>()
  const parameter = (name: string, shape: readonly number[]): Tensor => {
    if (!tensors.has(name)) tensors.set(name, trainable(name, shape))
    return cast(tensors.get(name)!, 'compute')
  }
  const parts: Parts = {
    parameter,
    linear: (path, x, out) =>
      matmul(x, parameter(`${path}.weight`, [out, x.shape.at(-1) as number]), { transB: true }),
  }
  const logps = logProbabilities(decoder(config, stream(config, 1), parts))
  const loss = neg(
    total(mul(reshape(logps, [predictionCount]), input('weights', [predictionCount]))),
  )
  const trainables = [...tensors.values()]
  const gradients = gradient(new Map([[loss, constant(1)]]), trainables, 'NONE') as Tensor[]
  return {
    emitted: emit({ outputs: { loss }, trainables, gradients }, (name) => {
      throw new Error(`internal: ${name} is frozen`)
    }),
    trainables,
  }
}

/** Normal with the given deviation; norms start at 1 less the family's offset, biases at 0. */
function start(
  { attributes: { name }, shape }: Tensor<'trainable'>,
  { normOffset }: DecoderConfig,
  deviation: number,
  seed: number,
): Float32Array {
  const size = shape.reduce<number>((a, d) => a * (d as number), 1)
  if (shape.length === 1)
    return new Float32Array(size).fill(name.endsWith('.bias') ? 0 : 1 - normOffset)
  const random = noise(seed, `init/${name}`)
  return Float32Array.from({ length: size }, (_, i) => random.normal(i) * deviation)
}

/** Yields the loss of every step, in nats a token; returns the trained tensors under their checkpoint names. */
export async function* pretrain({
  config,
  engine,
  steps,
  batch,
  recipe,
  deviation,
  seed,
}: Pretraining): AsyncGenerator<{ step: number; loss: number }, NamedTensor[]> {
  const { emitted, trainables } = program(config)
  const session = await engine.open(emitted)
  const betas = { beta1: 0.9, beta2: 0.99 }
  const optimizer = await openOptimizer(engine, recipe, sizesOf(trainables), null, betas)
  const initial = trainables.map((t) => start(t as Tensor<'trainable'>, config, deviation, seed))
  const flat = new Float32Array(emitted.parameters)
  initial.reduce((at, part) => (flat.set(part, at), at + part.length), 0)
  await engine.write('trainables', flat)
  for (let step = 1; step <= steps; step++) {
    const sequences = batch(step)
    const placed = layout(
      config,
      sequences.map((s) => ({ ids: s.slice(0, -1) })),
      1,
      0,
    )
    const targets = sequences.flatMap((s, i) =>
      s.slice(1).map((token, t) => ({ source: placed.roots[i]!.start + t, token })),
    )
    const { feeds, index, count } = place(placed, targets)
    const weights = new Float32Array(count)
    for (const i of index) weights[i] = 1 / targets.length
    await engine.write('gradient', new Float32Array(emitted.parameters))
    const outputs = await session.run(
      { ...placed.feeds, ...feeds, weights: floats(weights) },
      { resident: { trainables: 'trainables' }, accumulate: { gradient: 'gradient' } },
    )
    await optimizer.step(step, learningRate(recipe, step, steps))
    yield { step, loss: outputs.loss!.data[0]! }
  }
  const trained = await engine.read('trainables')
  await session.release()
  let at = 0
  return trainables.map((t) => {
    const shape = t.shape as readonly number[]
    const size = shape.reduce((a, d) => a * d, 1)
    at += size
    return {
      name: (t as Tensor<'trainable'>).attributes.name,
      shape,
      data: trained.subarray(at - size, at),
    }
  })
}
