/**
 * Text generation with a cache of keys and values. One graph reads prompts and then takes step after step inside the run, each of
 * which draws a token a sequence and reads it, so that on a card nothing comes to the host between tokens. Between runs the cache
 * lies in the engine's thread.
 */
import type { LoraSpec } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import { lora } from '../lora/lora.ts'
import { bySequence, cached, fresh, handingOn, kinds, oneTokenEach } from '../models/cache.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import type { DecoderConfig } from '../models/config.ts'
import { decoder, frozen, type Parts } from '../models/decoder.ts'
import { layout, never, stream } from '../models/forest.ts'
import { ropeTables } from '../models/rope.ts'
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { scan } from '../onnx/scan.ts'
import { stream as random } from '../random.ts'
import {
  cast,
  concat,
  constant,
  draw,
  expand,
  input,
  largest,
  matmul,
  rows,
  softCap,
} from '../tensor/ops.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import type { Tensor } from '../tensor/tensor.ts'

export type Sampling = {
  /** Logits are divided by it; 0: always the most probable token. */
  readonly temperature: number
  /** Of the most probable tokens, those before whose probabilities reach it. 1: all. */
  readonly topP?: number
  /** How many of the most probable tokens; 0: all. */
  readonly topK?: number
  readonly seed?: number
}

export type GenerateOptions = Sampling & {
  /** New tokens a sequence, at least 1. */
  readonly maxTokens: number
  /** Each ends its sequence and is its last token. */
  readonly stopIds: readonly number[]
  readonly signal?: AbortSignal
}

export type Generator = {
  /**
   * New tokens of each prompt, run by run, in the prompts' order; nothing for a sequence that has ended. What a prompt gets does
   * not depend on the others: its random numbers are those of its own tokens, and of which among equal prompts it is. Throws
   * FormatError when a prompt is empty or does not leave room for `maxTokens` in the model's positions.
   */
  generate(
    prompts: readonly (readonly number[])[],
    options: GenerateOptions,
  ): AsyncGenerator<readonly (readonly number[])[]>
  release(): Promise<void>
}

/**
 * New tokens of a run at most. Each step copies the keys and values of so many slots, and what a sequence does after its stop id
 * is wasted; each run begins with one step's work for nothing, and on a card it copies the cache both ways.
 */
const slotsOf = { cpu: 32, cuda: 128 } as const

let opened = 0

/** For a base model, or an adapter on it without merging. `adapter` is flat, as lora.ts orders it. */
export async function openGenerator(
  engine: Engine,
  checkpoint: Checkpoint,
  adapter: { spec: LoraSpec; flat: Float32Array<ArrayBuffer> } | null,
  slots: number = slotsOf[engine.device],
): Promise<Generator> {
  const { config } = checkpoint
  const name = `generator ${++opened}`
  const tuned = adapter ? lora(config, adapter.spec) : null
  if (adapter) await engine.write(`${name}: adapter`, adapter.flat.slice())
  const program = (candidates: number): Emitted =>
    generationGraph(checkpoint, tuned, candidates, slots, engine)

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
      open = { candidates, session: await engine.open(program(candidates), weights) }
    }
    return open.session
  }
  let calls = 0
  return {
    async *generate(prompts, options) {
      check(config, prompts, options)
      const { temperature, topK = 0 } = options
      const tokens = config.vocabulary + (adapter ? config.addedTokens : 0)
      const candidates = temperature === 0 ? 1 : topK === 0 ? tokens : Math.min(topK, tokens)
      const vectors = `${name}: call ${++calls}`
      const session = await sessionFor(candidates)
      try {
        yield* run(session, config, prompts, options, {
          slots,
          vectors,
          resident: adapter ? { trainables: `${name}: adapter` } : {},
        })
      } finally {
        await engine.forget(carried(config).map((key) => `${vectors}: ${key}`))
      }
    },
    async release() {
      await release()
      await engine.forget([`${name}: adapter`])
    },
  }
}

function check(
  { maxPositions, vocabulary, addedTokens }: DecoderConfig,
  prompts: readonly (readonly number[])[],
  { maxTokens, temperature, topP = 1, topK = 0 }: GenerateOptions,
): void {
  prompts.forEach((prompt, i) => {
    if (prompt.length === 0)
      throw new FormatError(`prompt ${i}: empty, expected at least one token`)
    const wrong = prompt.find(
      (id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary + addedTokens),
    )
    if (wrong !== undefined)
      throw new FormatError(
        `prompt ${i}: token ${wrong}, expected 0 to ${vocabulary + addedTokens - 1}`,
      )
    if (prompt.length + maxTokens > maxPositions)
      throw new FormatError(
        `prompt ${i}: ${prompt.length} tokens and ${maxTokens} new ones, the model has ${maxPositions} positions`,
      )
  })
  const expected = (name: string, value: number, holds: boolean, what: string) => {
    if (!holds) throw new FormatError(`${name}: expected ${what}, got ${value}`)
  }
  expected('maxTokens', maxTokens, Number.isInteger(maxTokens) && maxTokens > 0, '1 or more')
  expected('temperature', temperature, temperature >= 0 && temperature < Infinity, '0 or more')
  expected('topP', topP, topP > 0 && topP <= 1, 'more than 0, at most 1')
  expected('topK', topK, Number.isInteger(topK) && topK >= 0, '0 or more')
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
  { config, weight }: Checkpoint,
  tuned: { readonly parts: Parts; readonly trainables: readonly Tensor[] } | null,
  candidates: number,
  slots: number,
  { compute, device }: Pick<Engine, 'compute' | 'device'>,
): Emitted {
  const { kvHeads, headDim, layers } = config
  const parts = tuned?.parts ?? frozen
  const trainables = tuned ? { trainables: tuned.trainables } : {}

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

  const {
    hidden,
    head,
    addedHead,
    logitCap,
    handed: made,
  } = decoder(config, oneTokenEach(config, slots), parts)
  const known = cast(matmul(hidden, head, { transB: true }), 'float32')
  const added = addedHead && matmul(cast(hidden, 'float32'), addedHead, { transB: true })
  const logits = softCap(added ? concat([known, added], 1) : known, logitCap)
  const next =
    candidates === 1
      ? largest(logits)
      : draw(logits, candidates, {
          temperature: input('temperature', []),
          topP: input('topP', []),
          uniform: input('uniform', ['G', 1]),
        })
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
    emit({ outputs: before, ...trainables }, weight, compute),
    emit({ outputs: step, ...trainables }, weight, compute),
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

/** A sequence in the batch. */
type Sequence = {
  /** Which prompt's. */
  readonly index: number
  readonly uniform: (counter: number) => number
  /** Its last token, which is not read yet, and the tokens before it. */
  last: number
  read: number
  made: number
}

async function* run(
  session: Session,
  config: DecoderConfig,
  prompts: readonly (readonly number[])[],
  { maxTokens, stopIds, temperature, topP = 1, seed = 0, signal }: GenerateOptions,
  held: {
    readonly slots: number
    readonly vectors: string
    readonly resident: Readonly<Record<string, string>>
  },
): AsyncGenerator<readonly (readonly number[])[]> {
  const { slots } = held
  const occurrences = new Map<string, number>()
  let sequences = prompts.map((prompt, index): Sequence => {
    const own = prompt.join()
    const occurrence = occurrences.get(own) ?? 0
    occurrences.set(own, occurrence + 1)
    const { uniform } = random(seed, `generate/${occurrence}/${own}`)
    return { index, uniform, last: prompt.at(-1)!, read: prompt.length - 1, made: 0 }
  })
  let cache = emptyCache(config, prompts.length, slots)
  let alive = sequences.map((_, i) => i)
  let unread = prompts.map((prompt) => prompt.slice(0, -1))

  while (sequences.length > 0) {
    signal?.throwIfAborted()
    const steps = Math.min(slots, Math.max(...sequences.map(({ made }) => maxTokens - made)))
    const { roots, feeds: read } = readFeeds(config, unread)
    const taken = stepFeeds(config, sequences, steps, slots)
    const settings: Feeds =
      temperature === 0
        ? {}
        : {
            temperature: floats([temperature], []),
            topP: floats([topP], []),
            uniform: floats(
              Array.from({ length: steps }, (_, t) =>
                sequences.map(({ uniform, made }) => Math.min(uniform(made + t), belowOne)),
              ).flat(),
              [steps, sequences.length, 1],
            ),
          }
    const places = { freshAt: taken.places, pastAt: cache.pastAt, lateAt: cache.lateAt }
    const keep = Object.fromEntries(
      carried(config).map((name) => [`next ${name}`, `${held.vectors}: ${name}`]),
    )
    const { tokens } = await session.run(
      {
        ...read,
        ...taken.feeds,
        ...settings,
        ...cache.feeds,
        ...Object.fromEntries(Object.entries(places).map(([name, at]) => [name, rowsOf(at)])),
        alive: integers(alive),
        firstToken: integers(sequences.map(({ last }) => last)),
      },
      { resident: { ...held.resident, ...cache.resident }, keep },
    )

    const made: number[][] = prompts.map(() => [])
    const going: { readonly sequence: Sequence; readonly row: number }[] = []
    sequences.forEach((sequence, row) => {
      const left = Math.min(steps, maxTokens - sequence.made)
      const all = Array.from({ length: left }, (_, t) => tokens!.data[t * sequences.length + row]!)
      const stop = all.findIndex((id) => stopIds.includes(id))
      const own = stop < 0 ? all : all.slice(0, stop + 1)
      made[sequence.index] = own
      sequence.made += own.length
      sequence.read += steps
      sequence.last = own.at(-1)!
      if (stop < 0 && sequence.made < maxTokens) going.push({ sequence, row })
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

/** The largest float32 below 1. */
const belowOne = 1 - 2 ** -24

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
  const positions = Array.from({ length: steps }, (_, t) => sequences.map(({ read }) => read + t))
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
  const places = sequences.map(({ read }) => Array.from({ length: slots }, (_, t) => read + t))
  const filled = places.map((at) => at.map((position, t) => (t < steps ? position : never)))
  return { feeds, places, filled }
}
