/**
 * The engine's thread: all onnxruntime sessions and the long-lived vectors (trainables, moments, gradients) live here, because
 * run() blocks its thread and because those vectors should not travel. Requests come in order and are answered in order.
 */
import { parentPort } from 'node:worker_threads'
import ort from 'onnxruntime-node'
import type { Feeds } from '../tensor/feed.ts'

/** Vectors that a run uses in place of feeds and returned outputs, by name: they never leave the thread. */
export type RunOptions = {
  /** Input name to the vector that is fed, in the shape in which it was kept. */
  readonly resident?: Readonly<Record<string, string>>
  /** Output name to the vector that it is written to; the vector may be fed by the same run (elementwise graphs only). */
  readonly into?: Readonly<Record<string, string>>
  /** Output name to the vector that it is added to. */
  readonly accumulate?: Readonly<Record<string, string>>
  /** Output name to the vector that it becomes, in its shape. */
  readonly keep?: Readonly<Record<string, string>>
  /** Output name to the places in vectors that it is written to. */
  readonly put?: Readonly<Record<string, Places>>
}

/** For an output of as many equal parts as there are vectors: piece i of each part, `width` numbers, goes to `at[i]`, or nowhere where that is negative. */
export type Places = {
  readonly vectors: readonly string[]
  readonly width: number
  readonly at: Int32Array
}

/** What lives in the thread by a name. */
export type Vector = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>

/** A step of plain arithmetic on vectors, in place: the default export of a module. Arguments and result are copied. */
export type Kernel = (vectors: never, args: never) => unknown

/** Messages to the thread, each answered once. `session` is a number that the caller picks. */
export type Request =
  | {
      readonly type: 'open'
      readonly session: number
      readonly model: Uint8Array
      readonly threads: number
      readonly device: 'cpu' | 'cuda'
      readonly weights: 'MAPPED' | 'PACKED'
      /** Beginning of the file that gets each node's times; null for none. */
      readonly profile: string | null
    }
  | {
      readonly type: 'run'
      readonly session: number
      readonly feeds: Feeds
      readonly options: RunOptions
    }
  | {
      readonly type: 'apply'
      readonly module: string
      readonly vectors: Readonly<Record<string, string>>
      readonly args: unknown
    }
  | { readonly type: 'release'; readonly session: number }
  | { readonly type: 'write'; readonly vector: string; readonly data: Vector }
  | { readonly type: 'read'; readonly vector: string }
  | {
      readonly type: 'copy'
      readonly from: readonly string[]
      readonly to: readonly string[]
      readonly pieces: readonly Piece[]
    }
  | { readonly type: 'forget'; readonly vectors: readonly string[] }
  | { readonly type: 'close' }

/** By the names of the graph's outputs, row-major, without those that went to vectors. */
export type Outputs = Readonly<
  Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>
>

const sessions = new Map<number, ort.InferenceSession>()
const vectors = new Map<string, Vector>()
/** Of vectors that were outputs of graphs; all others are lists. */
const shapes = new Map<string, readonly number[]>()

function vector(name: string): Vector {
  const found = vectors.get(name)
  if (!found) throw new Error(`internal: no vector "${name}" in the engine`)
  return found
}

/** One that a graph can take. */
function floats(name: string): Float32Array {
  const found = vector(name)
  if (found instanceof Float32Array) return found
  throw new Error(`internal: the vector "${name}" holds bytes, expected float32`)
}

const tensor = (data: Float32Array | BigInt64Array, shape: readonly number[]): ort.Tensor =>
  data instanceof BigInt64Array
    ? new ort.Tensor('int64', data, shape)
    : new ort.Tensor('float32', data, shape)

/** So many numbers of one vector, to a place in another. */
export type Piece = { readonly from: number; readonly to: number; readonly length: number }

function place(data: Float32Array, { vectors, width, at }: Places): void {
  let from = 0
  for (const name of vectors) {
    const to = floats(name)
    for (const place of at) {
      if (place >= 0) to.set(data.subarray(from, from + width), place)
      from += width
    }
  }
}

async function answer(request: Request): Promise<{ value: unknown; transfer: ArrayBuffer[] }> {
  switch (request.type) {
    case 'open': {
      sessions.set(
        request.session,
        await ort.InferenceSession.create(request.model, {
          executionProviders: [request.device],
          // Optimisation folds casts of whole weights at load and merges recomputation away; patterns double the peak.
          graphOptimizationLevel: request.weights === 'PACKED' ? 'basic' : 'disabled',
          enableMemPattern: false,
          enableCpuMemArena: true,
          executionMode: 'sequential',
          intraOpNumThreads: request.threads,
          interOpNumThreads: 1,
          logSeverityLevel: 3,
          ...(request.profile !== null && {
            enableProfiling: true,
            profileFilePrefix: request.profile,
          }),
          extra: {
            session: {
              disable_prepacking: request.weights === 'PACKED' ? '0' : '1',
              // On a card, a node without a CUDA kernel would run on the host, at the price of copies each way.
              ...(request.device === 'cuda' ? { disable_cpu_ep_fallback: '1' } : {}),
              // Spinning gains nothing on a quiet machine, and on a shared one its threads are in their own way.
              intra_op: { allow_spinning: '0' },
              use_device_allocator_for_initializers: '1',
              // Locations of weights are absolute paths without their first slash.
              model_external_initializers_file_folder_path: '/',
            },
          },
        } as ort.InferenceSession.SessionOptions),
      )
      return { value: null, transfer: [] }
    }
    case 'run': {
      const session = sessions.get(request.session)
      if (!session) throw new Error(`internal: no session ${request.session}`)
      const { resident = {}, into = {}, accumulate = {}, keep = {}, put = {} } = request.options
      const feeds = Object.fromEntries([
        ...Object.entries(request.feeds).map(
          ([name, { data, shape }]) => [name, tensor(data, shape)] as const,
        ),
        ...Object.entries(resident).map(
          ([name, v]) => [name, tensor(floats(v), shapes.get(v) ?? [floats(v).length])] as const,
        ),
      ])
      const fetches = Object.fromEntries(
        session.outputNames.map((name) => [
          name,
          name in into ? tensor(floats(into[name]!), [floats(into[name]!).length]) : null,
        ]),
      )
      const outputs = await session.run(feeds, fetches)
      const value: Record<string, { data: Float32Array; shape: readonly number[] }> = {}
      for (const [name, out] of Object.entries(outputs)) {
        const data = out.data as Float32Array
        if (name in into) continue
        if (name in keep) {
          vectors.set(keep[name]!, data as Float32Array<ArrayBuffer>)
          shapes.set(keep[name]!, out.dims)
          continue
        }
        if (name in put) {
          place(data, put[name]!)
        } else if (name in accumulate) {
          const sum = floats(accumulate[name]!)
          for (let i = 0; i < sum.length; i++) sum[i]! += data[i]!
        } else {
          value[name] = { data, shape: out.dims }
        }
      }
      return { value, transfer: [] }
    }
    case 'apply': {
      const { default: kernel } = (await import(request.module)) as { default: Kernel }
      const given = Object.entries(request.vectors).map(([name, v]) => [name, vector(v)] as const)
      return {
        value: kernel(Object.fromEntries(given) as never, request.args as never),
        transfer: [],
      }
    }
    case 'release':
      // Writes the profile, if one was asked for.
      sessions.get(request.session)?.endProfiling()
      await sessions.get(request.session)?.release()
      sessions.delete(request.session)
      return { value: null, transfer: [] }
    case 'write':
      vectors.set(request.vector, request.data)
      shapes.delete(request.vector)
      return { value: null, transfer: [] }
    case 'copy':
      request.from.forEach((name, i) => {
        const [from, to] = [floats(name), floats(request.to[i]!)]
        for (const piece of request.pieces)
          to.set(from.subarray(piece.from, piece.from + piece.length), piece.to)
      })
      return { value: null, transfer: [] }
    case 'forget':
      for (const name of request.vectors) {
        vectors.delete(name)
        shapes.delete(name)
      }
      return { value: null, transfer: [] }
    case 'close':
      parentPort!.close()
      return { value: null, transfer: [] }
    case 'read': {
      const copy = vector(request.vector).slice()
      return { value: copy, transfer: [copy.buffer] }
    }
  }
}

let last: Promise<void> = Promise.resolve()
parentPort!.on('message', ({ id, request }: { id: number; request: Request }) => {
  last = last.then(async () => {
    try {
      const { value, transfer } = await answer(request)
      parentPort!.postMessage({ id, value }, transfer)
    } catch (error) {
      parentPort!.postMessage({ id, error: error instanceof Error ? error.message : String(error) })
    }
  })
})
