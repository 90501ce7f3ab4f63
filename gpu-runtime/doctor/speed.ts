/** Seconds of transfers, of matrix products, and of a training step; the best of a few, after one that warms up. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LoraSpec } from '#schema/spec.ts'
import { openCheckpoint } from '../models/checkpoint.ts'
import { emit } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { floats, type Feeds } from '../tensor/feed.ts'
import { cast, expand, input, matmul, reshape, sum } from '../tensor/ops.ts'
import { prepare, stepGraph } from '../training/step.ts'
import { writeEmptyModel } from './emptyModel.ts'

const noWeight = (name: string): never => {
  throw new Error(`internal: no weight ${name}`)
}

async function best(session: Session, feeds: Feeds, resident = {}, times = 3): Promise<number> {
  let seconds = Infinity
  for (let i = 0; i <= times; i++) {
    const from = performance.now()
    await session.run(feeds, { resident })
    if (i > 0) seconds = Math.min(seconds, (performance.now() - from) / 1000)
  }
  await session.release()
  return seconds
}

/** Bytes per second to the device and back. */
export async function transferRates(engine: Engine): Promise<{ to: number; back: number }> {
  const n = 2 ** 22
  await engine.write('doctor', new Float32Array(n))
  const wide = input('wide', [2048, n / 2048])
  const narrow = input('narrow', [1, 1])
  const to = await engine.open(emit({ outputs: { y: sum(sum(wide, [1]), [0]) } }, noWeight))
  const back = await engine.open(
    emit({ outputs: { y: expand(narrow, [2048, n / 2048]) } }, noWeight),
  )
  return {
    to: (4 * n) / (await best(to, { wide: floats(new Float32Array(n), [2048, n / 2048]) })),
    back: (4 * n) / (await best(back, { narrow: floats([1], [1, 1]) })),
  }
}

/** FLOP per second of products of square matrices in the engine's compute type, many in one run. */
export async function gemmRate(engine: Engine): Promise<number> {
  const [size, count] = engine.device === 'cuda' ? [4096, 20] : [1024, 4]
  const a = input('a', [size, 1])
  const left = cast(expand(a, [size, size]), 'compute')
  let y = left
  for (let i = 0; i < count; i++) y = matmul(y, left, { scale: 1 / size })
  const seen = sum(sum(reshape(cast(y, 'float32'), [size, size]), [1]), [0])
  const session = await engine.open(emit({ outputs: { seen } }, noWeight, engine.compute))
  const seconds = await best(session, { a: floats(new Float32Array(size).fill(1), [size, 1]) })
  return (2 * size ** 3 * count) / seconds
}

/** Of a step of a small Llama: seconds, and the FLOP that its linears need, forward and back. */
export async function stepTime(
  engine: Engine,
): Promise<{ seconds: number; flops: number; tokens: number }> {
  const [hidden, length] = engine.device === 'cuda' ? [2048, 512] : [512, 128]
  const headDim = 64
  const shape = {
    layers: 2,
    hidden,
    intermediate: 4 * hidden,
    heads: hidden / headDim,
    kvHeads: hidden / headDim / 4,
    headDim,
    vocabulary: 8192,
    tiedHead: true,
  }
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-doctor-'))
  try {
    await writeEmptyModel(directory, shape)
    const checkpoint = await openCheckpoint(directory)
    const ids = Array.from({ length }, (_, i) => i)
    const cut = { prompt: 0, chosen: 0, rejected: 0 }
    const pair = { row: 0, prompt: ids, chosen: ids, rejected: ids, cut }
    const denominators = { nllTokens: 2 * length, pairs: 1, accumulation: 1 }
    const graph = stepGraph(checkpoint, LoraSpec.parse({}), 0.1, 'ATTENTION', engine.compute)
    const { feeds, tokens } = prepare(
      checkpoint.config,
      [pair],
      [denominators],
      'PROMPT_AND_CHOSEN',
      new Float32Array(hidden),
    )
    const scale: Feeds = graph.inputs.has('lossScale') ? { lossScale: floats([1], []) } : {}
    await engine.write('doctor', new Float32Array(graph.parameters))
    const seconds = await best(
      await engine.open(graph),
      { ...feeds, ...scale },
      { trainables: 'doctor' },
    )
    const { layers, intermediate, kvHeads, heads, vocabulary } = shape
    const perLayer = hidden * headDim * (2 * heads + 2 * kvHeads) + 3 * hidden * intermediate
    return { seconds, flops: 4 * tokens * (layers * perLayer + hidden * vocabulary), tokens }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
