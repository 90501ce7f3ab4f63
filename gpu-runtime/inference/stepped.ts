/**
 * Generation on a CPU: a run a step. Keys and values lie in the engine's thread in vectors that a run is fed where they lie, and
 * that the run's new ones are written into afterwards, so that nothing is copied from step to step. A row belongs to one sequence;
 * when that ends, the next prompt is read into its place. What all prompts begin with is read once, and copied.
 *
 *   cache of a layer's keys [rows, kvHeads, 1, S, D]      slot s of a row holds position s
 */
import { cached, goingOn, handingOn, kinds, oneStep } from '../models/cache.ts'
import type { DecoderConfig } from '../models/config.ts'
import { decoder, frozen } from '../models/decoder.ts'
import { layout, never, stream } from '../models/forest.ts'
import { sideBySide } from '../models/sideBySide.ts'
import { ropeTables } from '../models/rope.ts'
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { mulDims } from '../tensor/dim.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import { cast, concat, input, reshape, rows } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { nextToken } from './next.ts'
import {
  candidatesOf,
  drawFeeds,
  sequencesOf,
  type Prompts,
  type Sequence,
  type Steps,
  type Subject,
} from './sequence.ts'
import { grain } from './trees.ts'

/** Prompts' tokens that are read in one run: more take more memory, and are not read faster. */
const readTokens = 512

/** A shorter beginning is not worth a run of its own. */
const sharedTokens = 32

/** Rows of keys and values in the engine's thread: the vectors' names begin with `name`. */
type Cache = { readonly name: string; readonly rows: number; readonly slots: number }

/** Vectors are called `name …`. */
export function steppedSteps(engine: Engine, subject: Subject, name: string): Steps {
  const { config } = subject.checkpoint
  const { resident } = subject
  const vectors = cacheNames(config)
  const names = { rows: `${name} rows`, shared: `${name} shared` }
  const vectorsOf = (cache: string) => vectors.map((key) => `${cache}: ${key}`)
  const fedFrom = ({ name: cache }: Cache) =>
    Object.fromEntries(vectors.map((key) => [key, `${cache}: ${key}`]))
  const sessions = new Map<string, Promise<Session>>()
  let open: { readonly candidates: number; readonly session: Session } | null = null

  const session = (key: string, graph: () => Emitted): Promise<Session> => {
    const opened = sessions.get(key) ?? engine.open(graph())
    sessions.set(key, opened)
    return opened
  }
  const mover = () => session('mover', () => movingGraph(subject))
  // Read far more seldom than steps are taken: their weights are not worth a second copy.
  const reader = (goesOn: boolean) =>
    session(`reader ${goesOn}`, () => readingGraph(subject, goesOn))
  const stepper = async (candidates: number): Promise<Session> => {
    if (open?.candidates !== candidates) {
      await open?.session.release()
      open = null
      open = { candidates, session: await engine.open(stepGraph(subject, candidates), 'PACKED') }
    }
    return open.session
  }

  /** Where the keys and values of a row's slot lie in their vectors, head by head. */
  const placesOf = ({ slots }: Cache, row: number, slot: number): number[] =>
    Array.from(
      { length: config.kvHeads },
      (_, head) => ((row * config.kvHeads + head) * slots + slot) * config.headDim,
    )

  /** Lays a cache out anew: row `from[i]` as row i, nothing where that is null. */
  async function move(
    cache: string,
    before: Cache | null,
    from: readonly (number | null)[],
    slots: number,
  ): Promise<Cache> {
    const { kvHeads, headDim } = config
    const known = before ?? { rows: 1, slots: 1 }
    const index = from.flatMap((row) =>
      Array.from({ length: kvHeads }, (_, head) =>
        Array.from({ length: slots }, (_, slot) =>
          row === null || slot >= known.slots ? 0 : (row * kvHeads + head) * known.slots + slot,
        ),
      ).flat(),
    )
    const blank = floats(new Float32Array(kvHeads * headDim), [1, kvHeads, 1, 1, headDim])
    const { run } = await mover()
    await run(
      {
        index: integers(index, [from.length, kvHeads, 1, slots]),
        ...(before ? {} : Object.fromEntries(vectors.map((key) => [key, blank]))),
      },
      {
        resident: before ? fedFrom(before) : {},
        keep: Object.fromEntries(vectors.map((key) => [`next ${key}`, `${cache}: ${key}`])),
      },
    )
    return { name: cache, rows: from.length, slots }
  }

  /** Puts keys and values of tokens into rows, behind those that all rows share. */
  async function read(
    cache: Cache,
    parts: readonly { readonly row: number; readonly ids: readonly number[] }[],
    shared: Cache | null,
  ): Promise<void> {
    const first = shared?.slots ?? 0
    const roots = parts.map(({ ids }) => ({ ids }))
    const laid = layout(config, roots, 1, 0, { first, align: grain })
    const at = new Int32Array(laid.tokens * config.kvHeads).fill(-1)
    laid.roots.forEach(({ start, length }, i) => {
      for (let t = 0; t < length; t++)
        at.set(placesOf(cache, parts[i]!.row, first + t), (start + t) * config.kvHeads)
    })
    const beforeAt = floats(
      Array.from({ length: first }, (_, t) => t),
      [1, 1, 1, 1, first],
    )
    const { run } = await reader(shared !== null)
    await run(shared ? { ...laid.feeds, beforeAt } : laid.feeds, {
      resident: { ...resident, ...(shared ? fedFrom(shared) : {}) },
      put: { made: placesIn(cache, at) },
    })
  }

  const placesIn = (cache: Cache, at: Int32Array) => ({
    vectors: vectorsOf(cache.name),
    width: config.headDim,
    at,
  })

  /** Reads what all prompts begin with, where that is worth it. */
  async function readShared(prompts: Prompts): Promise<Cache | null> {
    const common = sharedLength(prompts)
    const length = common - (common % grain)
    if (length < sharedTokens) return null
    const cache = await move(names.shared, null, [null], length)
    await read(cache, [{ row: 0, ids: prompts[0]!.slice(0, length) }], null)
    return cache
  }

  /** Into the first slots of rows. */
  const copyShared = (shared: Cache, cache: Cache, rows: readonly number[]): Promise<void> => {
    const [sources, length] = [placesOf(shared, 0, 0), shared.slots * config.headDim]
    const pieces = rows.flatMap((row) =>
      placesOf(cache, row, 0).map((to, head) => ({ from: sources[head]!, to, length })),
    )
    return engine.copy(vectorsOf(shared.name), vectorsOf(cache.name), pieces)
  }

  return {
    async *run(prompts, options, most) {
      const step = await stepper(candidatesOf(config, options))
      const waiting = sequencesOf(prompts, options.seed ?? 0)
      let taken: (Sequence | null)[] = []
      let cache: Cache | null = null
      try {
        const shared = await readShared(prompts)
        for (;;) {
          const going = taken.filter((sequence) => sequence !== null)
          if (going.length + waiting.length === 0) return
          options.signal?.throwIfAborted()

          const count = Math.min(most, going.length + waiting.length)
          const arriving = waiting.splice(0, count - going.length)
          const longest = Math.max(...[...going, ...arriving].map(({ before }) => before))
          // Fewer rows make a step cheaper, but laying the cache out anew takes about as long as a step.
          if (
            !cache ||
            longest >= cache.slots ||
            count > cache.rows ||
            count <= 0.75 * cache.rows
          ) {
            const kept = taken.flatMap((sequence, row) => (sequence ? [row] : []))
            const from = Array.from({ length: count }, (_, i) => kept[i] ?? null)
            const slots = longest < (cache?.slots ?? 0) ? cache!.slots : roomFor(longest)
            taken = from.map((row) => (row === null ? null : taken[row]!))
            cache = await move(names.rows, cache, from, slots)
          }
          const first = shared?.slots ?? 0
          const unread = arriving.map((sequence) => {
            const row = taken.indexOf(null)
            taken[row] = sequence
            return { row, ids: sequence.prompt.slice(first, -1) }
          })
          if (shared && unread.length > 0)
            await copyShared(
              shared,
              cache,
              unread.map(({ row }) => row),
            )
          for (const some of portions(unread.filter(({ ids }) => ids.length > 0)))
            await read(cache, some, shared)

          const positions = taken.map((sequence) => sequence?.before ?? 0)
          const at = taken.flatMap((sequence, row) =>
            placesOf(cache!, row, positions[row]!).map((place) => (sequence ? place : -1)),
          )
          const { temperature, topP, uniform } = drawFeeds(taken, 1, options)
          const { tokens } = await step.run(
            {
              ...stepFeeds(config, taken, positions, cache.slots),
              ...(options.temperature === 0
                ? {}
                : { temperature, topP, uniform: floats(uniform, [taken.length, 1]) }),
            },
            {
              resident: { ...resident, ...fedFrom(cache) },
              put: { made: placesIn(cache, Int32Array.from(at)) },
            },
          )
          const made: (readonly number[])[] = prompts.map(() => none)
          taken = taken.map((sequence, row) => {
            if (!sequence) return null
            const { own: new_, goesOn } = sequence.take([tokens!.data[row]!], options)
            made[sequence.index] = new_
            return goesOn ? sequence : null
          })
          yield made
        }
      } finally {
        await engine.forget(Object.values(names).flatMap(vectorsOf))
      }
    },
    async release() {
      for (const opened of sessions.values()) await (await opened).release()
      sessions.clear()
      await open?.session.release()
      open = null
    },
  }
}

const none: readonly number[] = []

/** Slots for a longest sequence of so many tokens, whole grains: some to come, since more room means a copy of everything. */
const roomFor = (longest: number): number =>
  Math.ceil((longest + 1 + Math.max(32, longest / 8)) / grain) * grain

const cacheNames = ({ layers }: DecoderConfig): string[] =>
  Array.from({ length: layers }, (_, layer) => kinds.map((kind) => cached(kind, layer))).flat()

/** Tokens that all prompts begin with and none ends in: its last one is read by its first step. */
function sharedLength([first = [], ...others]: Prompts): number {
  if (others.length === 0) return 0
  return others.reduce((length, prompt) => {
    const end = Math.min(length, prompt.length - 1)
    const differs = prompt.slice(0, end).findIndex((id, t) => id !== first[t])
    return differs < 0 ? end : differs
  }, first.length - 1)
}

/** Prompts that are read together. */
function portions<P extends { readonly ids: readonly number[] }>(prompts: readonly P[]): P[][] {
  const all: P[][] = []
  let tokens = Infinity
  for (const prompt of prompts) {
    if (tokens + prompt.ids.length > readTokens) {
      all.push([])
      tokens = 0
    }
    all.at(-1)!.push(prompt)
    tokens += prompt.ids.length
  }
  return all
}

/** All layers' keys and values, one after the other: of a pass whose layers hand them on. */
const allOf = (handed: readonly (readonly Tensor[])[]): Tensor => concat(handed.flat(), 0)

/** Reads a forest of one level, which may go on from a beginning: `made` are the keys and values of its tokens. */
function readingGraph({ checkpoint: { config, weight }, on }: Subject, goesOn: boolean): Emitted {
  const { parts, trainables } = on(frozen)
  const forest = goesOn ? goingOn(config, stream(config, 1)) : stream(config, 1)
  const { handed } = decoder(config, handingOn(forest), parts)
  return emit({ outputs: { made: allOf(handed) }, trainables }, weight)
}

/** `index` [G, kvHeads, 1, S] says which of the cache's vectors, counted over rows, heads and slots, come where. */
function movingGraph({ checkpoint: { config, weight } }: Subject): Emitted {
  const { kvHeads, headDim } = config
  const index = input('index', ['G', kvHeads, 1, 'S'], 'int64')
  return emit(
    {
      outputs: Object.fromEntries(
        cacheNames(config).map((key) => {
          const before = input(key, ['P', kvHeads, 1, 'S0', headDim])
          const flat = reshape(before, [mulDims(mulDims('P', 'S0'), kvHeads), headDim])
          return [`next ${key}`, rows(flat, index)]
        }),
      ),
    },
    weight,
  )
}

/** A step: the next `tokens` [G], and as `made` the keys and values of those that it was fed. */
function stepGraph({ checkpoint: { config, weight }, on }: Subject, candidates: number): Emitted {
  const { parts, trainables } = on(sideBySide(config))
  const forward = decoder(config, oneStep(config), parts)
  const tokens = cast(nextToken(forward, candidates), 'float32')
  return emit({ outputs: { tokens, made: allOf(forward.handed) }, trainables }, weight)
}

/** Rows without a sequence see nothing but themselves. */
function stepFeeds(
  config: DecoderConfig,
  taken: readonly (Sequence | null)[],
  positions: readonly number[],
  slots: number,
): Feeds {
  const n = taken.length
  const keyAt = new Float32Array(n * slots).fill(never)
  positions.forEach((position, row) => {
    for (let slot = 0; slot < position; slot++) keyAt[row * slots + slot] = slot
  })
  const turns = config.ropes.flatMap((rope, i) => {
    const { cos, sin } = ropeTables(rope, positions)
    const shape = [n, rope.width / 2]
    return [
      [`stepCos${i}`, floats(cos, shape)],
      [`stepSin${i}`, floats(sin, shape)],
    ] as const
  })
  return {
    ...Object.fromEntries(turns),
    token: integers(taken.map((sequence) => sequence?.last ?? 0)),
    at: floats(positions, [n, 1, 1, 1, 1]),
    keyAt: floats(keyAt, [n, 1, 1, 1, slots]),
  }
}
