/** What can be run on the stub card: the engine's own programs, each between marks, and graphs that are given. */
import type { LoraSpec } from '#schema/spec.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { openGenerator } from '#gpu-runtime/inference/generate.ts'
import { openScorer, type ScoreRequest } from '#gpu-runtime/inference/score.ts'
import { lora, parameterCount } from '#gpu-runtime/lora/lora.ts'
import { inNf4, openCheckpoint, type Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { ComputeType, Emitted } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { encodeModel, type Graph } from '#gpu-runtime/onnx/proto.ts'
import { floats, type Feeds } from '#gpu-runtime/tensor/feed.ts'
import type { Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { AdamW, adamDefaults } from '#gpu-runtime/training/adamw.ts'
import { nllTokens, prepare, stepGraph } from '#gpu-runtime/training/step.ts'

/** Writes a line of the report: a mark, or what a run was given. */
export type Note = (line: { mark: string } | { run: Design }) => void

/** What the design says that a run copies: each input that is read, each output, and tables of 8 bytes a row for two kernels. */
export type Design = {
  /** Bytes of each. */
  readonly inputs: readonly number[]
  readonly outputs: number
  /** Concat and Split nodes: the kernel uploads four tables when parts differ in length. */
  readonly tables: number
  /** Matrix products: three lists of pointers each, when batches are broadcast. */
  readonly products: number
}

type Model = {
  readonly model: string
  /** Held in NF4; its file goes beside the model. */
  readonly nf4?: boolean
  readonly compute: ComputeType
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
  step: ({ model, nf4 = false, compute, lora: spec, recompute, pairs }, note) =>
    onCuda(compute, note, async (engine) => {
      const checkpoint = await open(model, nf4)
      const graph = stepGraph(checkpoint, spec, 0.1, recompute, engine.compute)
      const denominators = {
        nllTokens: pairs.reduce((n, p) => n + nllTokens(p, 'PROMPT_AND_CHOSEN'), 0),
        pairs: pairs.length,
        accumulation: 1,
      }
      const { feeds } = prepare(
        checkpoint.config,
        pairs,
        pairs.map(() => denominators),
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

  score: ({ model, nf4 = false, compute, lora: spec, requests }, note) =>
    onCuda(compute, note, async (engine) => {
      const checkpoint = await open(model, nf4)
      const adapter = spec && {
        spec,
        flat: new Float32Array(parameterCount(lora(checkpoint.config, spec).trainables)),
      }
      note({ mark: 'open' })
      const scorer = await openScorer(engine, checkpoint, adapter)
      await twice(note, () => scorer.score(requests))
    }),

  generate: ({ model, nf4 = false, compute, lora: spec, prompts, temperature }, note) =>
    onCuda(compute, note, async (engine) => {
      const checkpoint = await open(model, nf4)
      const adapter = spec && {
        spec,
        flat: new Float32Array(parameterCount(lora(checkpoint.config, spec).trainables)),
      }
      note({ mark: 'open' })
      const slots = 3
      const generator = await openGenerator(engine, checkpoint, adapter, slots)
      const settings = { maxTokens: slots, stopIds: [], temperature, topP: 0.9 }
      await twice(note, () => Array.fromAsync(generator.generate(prompts, settings)))
    }),

  optimizer: ({ parameters }, note) =>
    onCuda('float32', note, async (engine) => {
      for (const vector of ['trainables', 'm', 'v', 'gradient'])
        await engine.write(vector, new Float32Array(parameters))
      note({ mark: 'open' })
      const settings = { ...adamDefaults, weightDecay: 0.01, maxGradNorm: 1 }
      const optimizer = await AdamW.open(engine, settings, parameters)
      await twice(note, () => optimizer.step(1, 1e-3))
    }),

  graph: ({ graph, shapes }, note) =>
    onCuda('float32', note, async (engine) => {
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
  note: Note,
  work: (engine: Engine) => Promise<void>,
): Promise<void> {
  const engine = new Engine(1, { device: 'cuda', compute })
  const open = engine.open.bind(engine)
  engine.open = async (emitted, device) => {
    const session = await open(emitted, device)
    return {
      ...session,
      run(feeds, options = {}) {
        note({ run: design(emitted, feeds) })
        return session.run(feeds, options)
      },
    }
  }
  try {
    await work(engine)
  } finally {
    await engine.close()
  }
}

function design({ graph, inputs, outputs, parameters }: Emitted, feeds: Feeds): Design {
  const count = (...types: string[]) =>
    graph.node.filter(({ opType }) => types.includes(opType)).length
  const read = new Set(graph.node.flatMap(({ input }) => input))
  return {
    inputs: [...inputs.keys()]
      .filter((name) => read.has(name))
      .map((name) => feeds[name]?.data.byteLength ?? 4 * parameters),
    outputs: outputs.length,
    tables: count('Concat', 'Split'),
    products: count('MatMul', 'FusedMatMul'),
  }
}

async function twice(note: Note, run: () => Promise<unknown>): Promise<void> {
  note({ mark: 'run' })
  await run()
  note({ mark: 'run' })
  await run()
  note({ mark: 'end' })
}

async function open(model: string, nf4: boolean): Promise<Checkpoint> {
  const stored = await openCheckpoint(model)
  return nf4 ? await inNf4(stored, { revision: 'card', cache: model }) : stored
}
