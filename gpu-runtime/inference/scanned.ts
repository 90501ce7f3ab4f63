/**
 * Generation on a card: one graph reads prompts and then takes step after step inside the run, each of which draws a token a
 * sequence and reads it, so that nothing comes to the host between tokens. Between runs the cache lies in the engine's thread.
 */
import { cached, bySequence, fresh, handingOn, kinds, oneTokenEach } from '../models/cache.ts'
import type { DecoderConfig } from '../models/config.ts'
import { decoder, frozen } from '../models/decoder.ts'
import { layout, never, stream } from '../models/forest.ts'
import { ropeTables } from '../models/rope.ts'
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine, Placement, Session } from '../onnx/engine.ts'
import { scan } from '../onnx/scan.ts'
import { cast, concat, constant, expand, input, rows } from '../tensor/ops.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { nextToken } from './next.ts'
import {
  candidatesOf,
  drawFeeds,
  sequencesOf,
  type GenerateOptions,
  type Prompts,
  type Sequence,
  type Steps,
  type Subject,
} from './sequence.ts'

/** `slots` new tokens a run at most; prompts beyond `rows` wait until all those before them have ended. Vectors are called `name: …`. */
export function scannedSteps(
  engine: Engine,
  subject: Subject,
  name: string,
  slots: number,
  placement: Placement,
): Steps {
  const { config } = subject.checkpoint
  const weights = engine.device === 'cpu' ? 'PACKED' : 'MAPPED'
  // One session at a time: a card would hold the weights once for each.
  let open: { readonly candidates: number; readonly session: Session } | null = null
  const release = async () => {
    await open?.session.release()
    open = null
  }
  const sessionFor = async (candidates: number): Promise<Session> => {
    if (open?.candidates !== candidates) {
      await release()
      const program = generationGraph(subject, candidates, slots, placement)
      open = { candidates, session: await engine.open(program, weights) }
    }
    return open.session
  }
  return {
    async *run(prompts, options, most) {
      const session = await sessionFor(candidatesOf(config, options))
      const waiting = sequencesOf(prompts, options.seed ?? 0)
      try {
        while (waiting.length > 0) {
          const batch = waiting.splice(0, most)
          for await (const made of run(session, config, batch, options, {
            slots,
            vectors: name,
            resident: subject.resident,
          })) {
            const all: (readonly number[])[] = prompts.map(() => [])
            for (const [index, own] of made) all[index] = own
            yield all
          }
        }
      } finally {
        await engine.forget(carried(config).map((key) => `${name}: ${key}`))
      }
    },
    release,
  }
}

/** What carries the cache from run to run: inputs, which are the outputs `next …` of the run before. */
const carried = ({ layers }: DecoderConfig): string[] =>
  Array.from({ length: layers }, (_, layer) =>
    kinds.flatMap((kind) => [`past ${kind} ${layer}`, `late ${kind} ${layer}`]),
  ).flat()

/**
 * Reads prompts (a forest of one level), puts their keys and values behind those of earlier runs (`past`, and `late` of the last
 * one's steps), and takes the steps. `alive` [G] are the sequences that go on.
 */
function generationGraph(
  { checkpoint: { config, weight }, on }: Subject,
  candidates: number,
  slots: number,
  { compute, device }: Placement,
): Emitted {
  const { kvHeads, headDim, layers } = config
  const { parts, trainables } = on(frozen)
  const prompts = handingOn(stream(config, 1))
  const { handed } = decoder(config, prompts, parts)
  const alive = input('alive', ['G'], 'int64')
  const kept = (name: string, length: string | number) =>
    cast(rows(input(name, ['P', kvHeads, length, headDim]), alive), 'compute')
  const before: Record<string, Tensor> = {}
  for (let layer = 0; layer < layers; layer++) {
    kinds.forEach((kind, i) => {
      const all = concat(
        [
          kept(`past ${kind} ${layer}`, 'S0'),
          kept(`late ${kind} ${layer}`, slots),
          bySequence(config, prompts, handed[layer]![i]!),
        ],
        2,
      )
      before[cached(kind, layer)] = all
      before[`next past ${kind} ${layer}`] = cast(all, 'float32')
    })
  }
  before['empty'] = expand(constant(0, [1, 1, 1, 1], 'compute'), ['G', kvHeads, slots, headDim])
  // Of the fresh slots, of what was there before, and of the prompts.
  const places = [
    input('freshAt', ['G', 1, 1, slots]),
    input('pastAt', ['G', 1, 1, 'S0']),
    input('lateAt', ['G', 1, 1, slots]),
    input('readAt', ['G', 1, 1, prompts.levels[0]!.keyAt.shape.at(-1)!]),
  ]
  before['keyAt'] = concat(places, 3)

  const forward = decoder(config, oneTokenEach(config, slots), parts)
  const made = forward.handed
  const next = nextToken(forward, candidates)
  const step: Record<string, Tensor> = { next, tokens: cast(next, 'float32') }
  const freshStates = made.flatMap((pair, layer) =>
    kinds.map((kind, i) => {
      step[`made ${kind} ${layer}`] = pair[i]!
      return {
        input: fresh(kind, layer),
        first: 'empty',
        output: `made ${kind} ${layer}`,
        last: `next late ${kind} ${layer}`,
      }
    }),
  )
  before['first token'] = input('firstToken', ['G'], 'int64')
  const turns = config.ropes.flatMap((_, i) => [`stepCos${i}`, `stepSin${i}`])
  return scan(
    emit({ outputs: before, trainables }, weight, compute),
    emit({ outputs: step, trainables }, weight, compute),
    {
      states: [{ input: 'token', first: 'first token', output: 'next' }, ...freshStates],
      perStep: [...turns, 'at', 'slot', ...(candidates === 1 ? [] : ['uniform'])],
      collected: ['tokens'],
      packed: device === 'cuda',
      given: {
        keyAt: 'keyAt',
        ...Object.fromEntries(
          made.flatMap((_, l) => kinds.map((kind) => [cached(kind, l), cached(kind, l)])),
        ),
      },
    },
  )
}

/** New tokens of those that are not done, by their prompt's index, run by run. */
async function* run(
  session: Session,
  config: DecoderConfig,
  batch: readonly Sequence[],
  options: GenerateOptions,
  held: {
    readonly slots: number
    readonly vectors: string
    readonly resident: Readonly<Record<string, string>>
  },
): AsyncGenerator<ReadonlyMap<number, readonly number[]>> {
  const { maxTokens, temperature, signal } = options
  const { slots } = held
  let sequences = batch
  let cache = emptyCache(config, batch.length, slots)
  let alive = batch.map((_, i) => i)
  let unread: Prompts = batch.map(({ prompt }) => prompt.slice(0, -1))

  while (sequences.length > 0) {
    signal?.throwIfAborted()
    const steps = Math.min(slots, Math.max(...sequences.map(({ made }) => maxTokens - made.length)))
    const { roots, feeds: read } = readFeeds(config, unread)
    const taken = stepFeeds(config, sequences, steps, slots)
    const { uniform, ...settings } = drawFeeds(sequences, steps, options)
    const places = { freshAt: taken.places, pastAt: cache.pastAt, lateAt: cache.lateAt }
    const keep = Object.fromEntries(
      carried(config).map((name) => [`next ${name}`, `${held.vectors}: ${name}`]),
    )
    const { tokens } = await session.run(
      {
        ...read,
        ...taken.feeds,
        ...(temperature === 0
          ? {}
          : { ...settings, uniform: floats(uniform, [steps, sequences.length, 1]) }),
        ...cache.feeds,
        ...Object.fromEntries(Object.entries(places).map(([name, at]) => [name, rowsOf(at)])),
        alive: integers(alive),
        firstToken: integers(sequences.map(({ last }) => last)),
      },
      { resident: { ...held.resident, ...cache.resident }, keep },
    )

    const made = new Map<number, readonly number[]>()
    const going: { readonly sequence: Sequence; readonly row: number }[] = []
    sequences.forEach((sequence, row) => {
      const all = Array.from({ length: steps }, (_, t) => tokens!.data[t * sequences.length + row]!)
      const { own, goesOn } = sequence.take(all, options)
      made.set(sequence.index, own)
      if (goesOn) going.push({ sequence, row })
    })
    // The cache is now: what was past, what was late, what was read, and what the steps made.
    const joined = places.pastAt.map((at, row) => [...at, ...places.lateAt[row]!, ...roots[row]!])
    cache = {
      pastAt: going.map(({ row }) => joined[row]!),
      lateAt: going.map(({ row }) => taken.filled[row]!),
      feeds: {},
      resident: Object.fromEntries(
        carried(config).map((name) => [name, `${held.vectors}: ${name}`]),
      ),
    }
    alive = going.map(({ row }) => row)
    sequences = going.map(({ sequence }) => sequence)
    unread = going.map(() => [])
    yield made
  }
}

/** What is kept between runs: positions of its slots, a row for each sequence that goes on, and where it comes from. */
type Cache = {
  readonly pastAt: readonly (readonly number[])[]
  readonly lateAt: readonly (readonly number[])[]
  readonly feeds: Feeds
  readonly resident: Readonly<Record<string, string>>
}

/** One slot, and those of the steps, all without a token. */
function emptyCache(config: DecoderConfig, sequences: number, slots: number): Cache {
  const { kvHeads, headDim } = config
  const blank = (length: number) =>
    floats(new Float32Array(sequences * kvHeads * length * headDim), [
      sequences,
      kvHeads,
      length,
      headDim,
    ])
  const [past, late] = [blank(1), blank(slots)]
  const places = (length: number) =>
    Array.from({ length: sequences }, () => Array.from({ length }, () => never))
  return {
    pastAt: places(1),
    lateAt: places(slots),
    feeds: Object.fromEntries(
      carried(config).map((name) => [name, name.startsWith('past') ? past : late]),
    ),
    resident: {},
  }
}

const rowsOf = (rows: readonly (readonly number[])[]) =>
  floats(rows.flat(), [rows.length, 1, 1, rows[0]!.length])

/** Feeds that read a prompt each, and the positions of the slots that it fills; a prompt without tokens is read as one that nobody sees. */
function readFeeds(
  config: DecoderConfig,
  prompts: readonly (readonly number[])[],
): { readonly feeds: Feeds; readonly roots: readonly (readonly number[])[] } {
  const { feeds } = layout(
    config,
    prompts.map((ids) => ({ ids: ids.length > 0 ? ids : [0] })),
    1,
    0,
  )
  const at = feeds['keyAt0']!
  const width = at.shape.at(-1)!
  const roots = prompts.map(({ length }) =>
    Array.from({ length: width }, (_, t) => (t < length ? t : never)),
  )
  return { feeds: { ...feeds, readAt: rowsOf(roots) }, roots }
}

/** Feeds of the steps, and the positions of their slots: as a step sees them, and as they are filled at the end. */
function stepFeeds(
  config: DecoderConfig,
  sequences: readonly Sequence[],
  steps: number,
  slots: number,
) {
  const positions = Array.from({ length: steps }, (_, t) =>
    sequences.map(({ before }) => before + t),
  )
  const slot = new Float32Array(steps * slots).fill(1)
  for (let t = 0; t < steps; t++) slot[t * slots + t] = 0
  const feeds: Record<string, Feeds[string]> = {
    at: floats(positions.flat(), [steps, sequences.length, 1, 1, 1]),
    slot: floats(slot, [steps, 1, 1, slots, 1]),
  }
  config.ropes.forEach((rope, i) => {
    const { cos, sin } = ropeTables(rope, positions.flat())
    const shape = [steps, sequences.length, rope.width / 2]
    feeds[`stepCos${i}`] = floats(cos, shape)
    feeds[`stepSin${i}`] = floats(sin, shape)
  })
  const places = sequences.map(({ before }) => Array.from({ length: slots }, (_, t) => before + t))
  const filled = places.map((at) => at.map((position, t) => (t < steps ? position : never)))
  return { feeds, places, filled }
}
