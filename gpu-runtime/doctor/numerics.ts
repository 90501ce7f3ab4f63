/** A whole training step of a small random Llama on the engine, against the float64 interpreter of the same program. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LoraSpec } from '#schema/spec.ts'
import { writeSafetensors } from '../files/safetensors.ts'
import { openCheckpoint } from '../models/checkpoint.ts'
import { bindSymbols, type Engine } from '../onnx/engine.ts'
import { stream } from '../random.ts'
import { floats, type Feeds } from '../tensor/feed.ts'
import { interpret, value, type Leaves } from '../tensor/interpret.ts'
import { prepare, stepGraph, stepProgram } from '../training/step.ts'
import { configJson, weightShapes } from './emptyModel.ts'

const shape = {
  layers: 2,
  hidden: 32,
  intermediate: 48,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  vocabulary: 64,
  tiedHead: false,
}
const spec = LoraSpec.parse({ r: 4, alpha: 8 })
const beta = 0.1

/** Errors relative to the float64 values: of the loss, and of the gradient's length. */
export type Deviation = { readonly loss: number; readonly gradient: number; readonly nodes: number }

/** Rejects when the engine refuses the graph, which on a card has a CUDA kernel for each node or is refused. */
export async function deviation(engine: Engine): Promise<Deviation> {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-doctor-'))
  try {
    const weights = weightShapes(shape).map(([name, dims]) => {
      const random = stream(1, name)
      const size = dims.reduce((a, b) => a * b, 1)
      // bfloat16 numbers, so that every compute type but float16 reads the same ones.
      const data = Float32Array.from(
        { length: size },
        (_, i) => Math.round(32 * random.uniform(i) - 16) / 64,
      )
      return { name, dtype: 'F32' as const, shape: dims, data }
    })
    await writeFile(join(directory, 'config.json'), JSON.stringify(configJson(shape)))
    await writeSafetensors(join(directory, 'model.safetensors'), weights)
    return await compare(
      engine,
      directory,
      new Map(weights.map((w) => [w.name, value(w.data, w.shape)])),
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function compare(engine: Engine, directory: string, weights: Leaves): Promise<Deviation> {
  const checkpoint = await openCheckpoint(directory)
  const graph = stepGraph(checkpoint, spec, beta, 'ATTENTION', engine.compute)
  const cut = { prompt: 0, chosen: 0, rejected: 0 }
  const pair = { row: 0, prompt: [1, 2, 3, 4], chosen: [5, 6, 7], rejected: [8, 9], cut }
  const denominators = { nllTokens: 6, pairs: 1, accumulation: 1 }
  const { feeds } = prepare(
    checkpoint.config,
    [pair],
    [denominators],
    'PROMPT_AND_CHOSEN',
    new Float32Array(shape.hidden),
  )
  const random = stream(2, 'adapter')
  const trainables = Float32Array.from(
    { length: graph.parameters },
    (_, i) => (2 * random.uniform(i) - 1) / 8,
  )

  const program = stepProgram(checkpoint.config, spec, beta, 'ATTENTION')
  const leaves = new Map([...weights])
  for (const [name, { data, shape: dims }] of Object.entries(feeds))
    leaves.set(name, value(Array.from(data, Number), dims))
  let at = 0
  for (const { attributes, shape: dims } of program.trainables) {
    const size = dims.reduce<number>((a, d) => a * (d as number), 1)
    leaves.set(
      (attributes as { name: string }).name,
      value(trainables.subarray(at, (at += size)), dims as number[]),
    )
  }
  const scale: Feeds = graph.inputs.has('lossScale') ? { lossScale: floats([1024], []) } : {}
  const given = { ...feeds, ...scale }
  const bindings = bindSymbols(graph, given, { trainables: '' })
  const [loss, ...gradients] = interpret(
    [program.outputs['loss']!, ...program.gradients],
    leaves,
    bindings,
  )
  const expected = gradients.flatMap(({ data }) => Array.from(data))

  await engine.write('doctor', trainables.slice())
  const session = await engine.open(graph)
  const got = await session.run(given, { resident: { trainables: 'doctor' } })
  await session.release()
  const length = (xs: readonly number[]) => Math.hypot(...xs)
  const difference = expected.map((x, i) => got['gradient']!.data[i]! - x)
  return {
    loss: Math.abs(got['loss']!.data[0]! - loss!.data[0]!) / Math.abs(loss!.data[0]!),
    gradient: length(difference) / length(expected),
    nodes: graph.graph.node.length,
  }
}
