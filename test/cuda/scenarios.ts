/** What can be run on the stub card: the engine's own programs, each between marks, and graphs that are given. */
import type { LoraSpec } from '#schema/spec.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { examine } from '#gpu-runtime/doctor/examine.ts'
import { page } from '#gpu-runtime/doctor/report.ts'
import { openGenerator } from '#gpu-runtime/inference/generate.ts'
import { openScorer, type ScoreRequest } from '#gpu-runtime/inference/score.ts'
import { lora, parameterCount } from '#gpu-runtime/lora/lora.ts'
import { inNf4, openCheckpoint, type Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { ComputeType, Emitted } from '#gpu-runtime/onnx/emit.ts'
import { bindSymbols, Engine, type RunOptions } from '#gpu-runtime/onnx/engine.ts'
import { encodeModel, type Graph, type Node } from '#gpu-runtime/onnx/proto.ts'
import { runValues, type Value } from '#gpu-runtime/planning/values.ts'
import { floats, type Feeds } from '#gpu-runtime/tensor/feed.ts'
import type { Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { AdamW, adamDefaults } from '#gpu-runtime/training/adamw.ts'
import { denominators, prepare, stepGraph } from '#gpu-runtime/training/step.ts'

/** Writes a line of the report: a mark, or what a run was given. */
export type Note = (line: { mark: string } | { run: Design }) => void

/** What the design says that a run copies: each input that is read, each output, and what kernels need to know of operands. */
export type Design = {
  readonly outputs: number
  /** Bytes of each. */
  readonly inputs?: readonly number[]
  /** How many tables of offsets and pointers kernels upload. */
  readonly tables?: number
}

type Model = {
  readonly model: string
  /** What the weights in NF4 are told apart by, and their folder, where they are made once; null for the checkpoint as it is. */
  readonly revision: string
  readonly nf4: string | null
  readonly compute: ComputeType
}

async function checkpointOf({ model, revision, nf4 }: Model): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(model)
  if (nf4 === null) return checkpoint
  return await inNf4({ ...checkpoint, directory: nf4 }, { revision, cache: nf4 })
}

/** Names and arguments, which travel as JSON. */
export type Scenario =
  /** Two identical training steps; marks `open`, `run`, `run`, `end`. */
  | {
      readonly name: 'step'
      readonly argument: Model & {
        readonly lora: LoraSpec
        readonly recompute: Recompute
        readonly pairs: readonly Pair[]
      }
    }
  /** The same requests twice, on the base model or on an adapter of zeros; marks as above. */
  | {
      readonly name: 'score'
      readonly argument: Model & {
        readonly lora: LoraSpec | null
        readonly requests: readonly ScoreRequest[]
      }
    }
  /** Three tokens after each prompt, greedy or sampled; marks as above. */
  | {
      readonly name: 'generate'
      readonly argument: Model & {
        readonly lora: LoraSpec | null
        readonly prompts: readonly (readonly number[])[]
        readonly temperature: number
      }
    }
  /** Two optimizer steps over `parameters` values; marks as above. */
  | { readonly name: 'optimizer'; readonly argument: { readonly parameters: number } }
  /** The doctor's page, as its only mark, on a machine whose driver gives this answer. */
  | { readonly name: 'doctor'; readonly argument: { readonly driver: string } }
  /** A graph of float32 inputs, by their shapes, all zeros; marks `open`, `run`, `end`. */
  | {
      readonly name: 'graph'
      readonly argument: {
        readonly graph: Graph
        readonly shapes: Readonly<Record<string, readonly number[]>>
      }
    }

export const scenarios: {
  [S in Scenario['name']]: (
    argument: Extract<Scenario, { name: S }>['argument'],
    note: Note,
  ) => Promise<void>
} = {
  step: ({ lora: spec, recompute, pairs, ...model }, note) =>
    onCuda(model.compute, async (engine) => {
      describeRuns(engine, note)
      const checkpoint = await checkpointOf(model)
      const graph = stepGraph(checkpoint, spec, 0.1, recompute, engine.compute)
      const { feeds } = prepare(
        checkpoint.config,
        pairs,
        denominators(pairs, { dialect: 'ODDSMITH', nll: 'PROMPT_AND_CHOSEN' }, 1),
        'PROMPT_AND_CHOSEN',
        new Float32Array(checkpoint.config.hidden),
        spec.dropout > 0 ? { seed: 1, step: 1 } : null,
      )
      const scale: Feeds = graph.inputs.has('lossScale') ? { lossScale: floats([1], []) } : {}
      await engine.write('trainables', new Float32Array(graph.parameters))
      await engine.write('gradient', new Float32Array(graph.parameters))
      note({ mark: 'open' })
      const session = await engine.open(graph)
      await twice(note, () =>
        session.run(
          { ...feeds, ...scale },
          { resident: { trainables: 'trainables' }, accumulate: { gradient: 'gradient' } },
        ),
      )
    }),

  score: ({ lora: spec, requests, ...model }, note) =>
    onCuda(model.compute, async (engine) => {
      describeRuns(engine, note)
      const checkpoint = await checkpointOf(model)
      const adapter = spec && {
        spec,
        flat: new Float32Array(parameterCount(lora(checkpoint.config, spec).trainables)),
      }
      note({ mark: 'open' })
      const scorer = await openScorer(engine, checkpoint, [adapter], { compute: engine.compute })
      await twice(note, () =>
        scorer.score(requests.map((request) => ({ prefix: [], items: [request] }))),
      )
    }),

  generate: ({ lora: spec, prompts, temperature, ...model }, note) =>
    onCuda(model.compute, async (engine) => {
      describeRuns(engine, note, ({ outputs }) => ({ outputs: outputs.length }))
      const checkpoint = await checkpointOf(model)
      const adapter = spec && {
        spec,
        flat: new Float32Array(parameterCount(lora(checkpoint.config, spec).trainables)),
      }
      note({ mark: 'open' })
      const slots = 3
      const generator = await openGenerator(engine, checkpoint, adapter, { slots })
      const settings = { maxTokens: slots, stopIds: [], temperature, topP: 0.9 }
      await twice(note, () => Array.fromAsync(generator.generate(prompts, settings)))
    }),

  optimizer: ({ parameters }, note) =>
    onCuda('float32', async (engine) => {
      for (const vector of ['trainables', 'm', 'v', 'gradient'])
        await engine.write(vector, new Float32Array(parameters))
      note({ mark: 'open' })
      const settings = { ...adamDefaults, weightDecay: 0.01, maxGradNorm: 1 }
      const optimizer = new AdamW(engine, settings)
      await twice(note, () => optimizer.step(1, 1e-3))
    }),

  doctor: async ({ driver }, note) => note({ mark: page(await examine({ output: driver }, true)) }),

  graph: ({ graph, shapes }, note) =>
    onCuda('float32', async (engine) => {
      const inputs = new Map(
        Object.entries(shapes).map(([name, shape]) => [name, { shape, dtype: 'float32' as const }]),
      )
      note({ mark: 'open' })
      const session = await engine.open({
        model: encodeModel(graph),
        graph,
        inputs,
        shapes: new Map(),
        outputs: graph.output.map((o) => o.name),
        parameters: 0,
      })
      note({ mark: 'run' })
      await session.run(
        Object.fromEntries(
          Object.entries(shapes).map(([name, shape]) => [
            name,
            floats(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape),
          ]),
        ),
      )
      note({ mark: 'end' })
    }),
}

async function onCuda(
  compute: ComputeType,
  work: (engine: Engine) => Promise<void>,
): Promise<void> {
  const engine = new Engine(1, { device: 'cuda', compute })
  try {
    await work(engine)
  } finally {
    await engine.close()
  }
}

/** The engine's sessions note before each run what it should copy. */
function describeRuns(
  engine: Engine,
  note: Note,
  describe: (emitted: Emitted, feeds: Feeds, options: RunOptions) => Design = design,
): void {
  const open = engine.open.bind(engine)
  engine.open = async (emitted, device) => {
    const session = await open(emitted, device)
    return {
      ...session,
      run(feeds, options = {}) {
        note({ run: describe(emitted, feeds, options) })
        return session.run(feeds, options)
      },
    }
  }
}

function design(emitted: Emitted, feeds: Feeds, { resident = {} }: RunOptions): Design {
  const { graph, inputs, outputs, parameters } = emitted
  const read = new Set(graph.node.flatMap(({ input }) => input))
  const values = runValues(emitted, bindSymbols(emitted, feeds, resident))
  return {
    inputs: [...inputs.keys()]
      .filter((name) => read.has(name))
      .map((name) => feeds[name]?.data.byteLength ?? 4 * parameters),
    outputs: outputs.length,
    tables: graph.node.reduce((n, node) => n + tables(node, values), 0),
  }
}

/**
 * Tables that the kernel of a node uploads: where the parts of a Concat or a Split begin, unless up to 32 are equally long or a Split
 * cuts rows in three; where the matrices of a product lie, when one is used for several of the other.
 */
function tables(
  { opType, input, output, attribute }: Node,
  values: ReadonlyMap<string, Value>,
): number {
  const dims = (name: string) => values.get(name)!.dims
  const parts = { Concat: input, Split: output }[opType]
  if (parts) {
    const even = new Set(parts.map((name) => dims(name).join())).size === 1
    if (even) return Number(parts.length > 32)
    const axis = attribute?.find(({ name }) => name === 'axis')
    const last = axis?.type === 2 && axis.i === dims(input[0]!).length - 1
    return opType === 'Split' && parts.length === 3 && last ? 0 : 4
  }
  if (!opType.endsWith('MatMul')) return 0
  const [a, b] = input.slice(0, 2).map((name) => dims(name).slice(0, -2))
  const count = (batch: readonly number[]) => batch.reduce((x, y) => x * y, 1)
  const fromOne = a!.length > 0 && (b!.length === 0 || count(a!) === count(b!))
  return fromOne || count(dims(output[0]!).slice(0, -2)) === 1 ? 0 : 3
}

async function twice(note: Note, run: () => Promise<unknown>): Promise<void> {
  note({ mark: 'run' })
  await run()
  note({ mark: 'run' })
  await run()
  note({ mark: 'end' })
}
