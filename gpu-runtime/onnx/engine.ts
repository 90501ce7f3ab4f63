/** The engine seen from the main thread: sessions and vectors that live in its worker. Calls are answered in order. */
import { Worker } from 'node:worker_threads'
import { evaluate, type Bindings } from '../tensor/dim.ts'
import type { ComputeType, Emitted } from './emit.ts'
import { integers, type Feed, type Feeds } from '../tensor/feed.ts'
import type { Kernel, Outputs, Piece, Request, RunOptions, Vector } from './worker.ts'

export type { Outputs, RunOptions, Vector }

/** One opened graph. */
export type Session = {
  /** Throws when a feed is missing or its shape does not fit the graph. Outputs that go to vectors are not returned. */
  run(feeds: Feeds, options?: RunOptions): Promise<Outputs>
  release(): Promise<void>
}

/** An execution provider of onnxruntime. On `cuda`, a graph that has a node without a CUDA kernel is refused when it is opened. */
export type Device = 'cpu' | 'cuda'

/** Where graphs run and what `compute` stands for in them: the CPU provider has float32 only. */
export type Placement = { readonly device: Device; readonly compute: ComputeType }

/** Mapped, or on a CPU copied in float32 into the layout of its products' kernels, once for each product that takes them. */
export type Weights = 'MAPPED' | 'PACKED'

const onCpu: Placement = { device: 'cpu', compute: 'float32' }

/**
 * A thread with onnxruntime, on `threads` CPU threads. What fails in it rejects the call with `engine: …`; when the thread itself
 * ends, all calls that wait and all later ones are rejected. Lives until `close`.
 */
export class Engine {
  readonly threads: number
  readonly device: Device
  /** For `emit`. */
  readonly compute: ComputeType
  readonly #profile: string | null
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >()
  #calls = 0
  #sessions = 0
  #down: Error | null = null

  /** With a `profile`, onnxruntime times every node, and each session's release leaves a file that begins with that path. */
  constructor(
    threads: number,
    { device, compute }: Placement = onCpu,
    profile: string | null = null,
  ) {
    this.threads = threads
    this.device = device
    this.compute = compute
    this.#profile = profile
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url))
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()))
    this.#worker.on(
      'message',
      ({ id, value, error }: { id: number; value: never; error?: string }) => {
        const { resolve, reject } = this.#waiting.get(id)!
        this.#waiting.delete(id)
        if (error === undefined) resolve(value)
        else reject(new Error(`engine: ${error}`))
      },
    )
    this.#worker.on('error', (error) =>
      this.#fail(error instanceof Error ? error : new Error(String(error))),
    )
    this.#worker.on('exit', (code) =>
      this.#fail(new Error(`engine: its thread ended with code ${code}`)),
    )
  }

  #fail(error: Error): void {
    this.#down ??= error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  #call<T>(request: Request, transfer: ArrayBuffer[] = []): Promise<T> {
    if (this.#down) return Promise.reject(this.#down)
    const id = ++this.#calls
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, request }, transfer)
    })
  }

  /** Loads a graph; rejects when onnxruntime refuses the model. */
  async open(emitted: Emitted, weights: Weights = 'MAPPED'): Promise<Session> {
    const session = ++this.#sessions
    const { threads, device } = this
    const profile = this.#profile && `${this.#profile}-${session}`
    const { model } = emitted
    await this.#call({ type: 'open', session, model, threads, device, weights, profile })
    return {
      run: (feeds, options = {}) =>
        this.#call({
          type: 'run',
          session,
          feeds: { ...feeds, ...shapeFeeds(emitted, feeds, options) },
          options,
        }),
      release: () => this.#call({ type: 'release', session }),
    }
  }

  /** Create or replace a vector; `data` moves to the engine and must not be used afterwards. */
  write(vector: string, data: Vector): Promise<void> {
    return this.#call({ type: 'write', vector, data }, [data.buffer])
  }

  /** A copy, as of all that was asked before, of the kind that was written; rejects when there is no such vector. */
  read<V extends Vector = Float32Array<ArrayBuffer>>(vector: string): Promise<V> {
    return this.#call({ type: 'read', vector })
  }

  /** Copy the same pieces of each vector into the one at its place in `to`. */
  copy(from: readonly string[], to: readonly string[], pieces: readonly Piece[]): Promise<void> {
    return this.#call({ type: 'copy', from, to, pieces })
  }

  /** Give up vectors and their memory; names that are not there are passed over. */
  forget(vectors: readonly string[]): Promise<void> {
    return this.#call({ type: 'forget', vectors })
  }

  /** Call a module's kernel in the thread on vectors, by their names: for what ONNX has no operator for. */
  apply<K extends Kernel>(
    module: URL,
    vectors: { readonly [N in keyof Parameters<K>[0]]: string },
    args: Parameters<K>[1],
  ): Promise<ReturnType<K>> {
    return this.#call({ type: 'apply', module: module.href, vectors, args })
  }

  /** After what was asked before it. */
  async close(): Promise<void> {
    // Not terminate(): in a thread that is loading onnxruntime, that aborts the whole process (Napi::Error).
    if (this.#down === null) void this.#call({ type: 'close' }).catch(() => {})
    this.#down ??= new Error('engine: closed')
    await this.#exited
  }
}

/** The inputs that are shapes, for a run with these feeds. */
function shapeFeeds(
  emitted: Emitted,
  feeds: Feeds,
  { resident = {} }: RunOptions,
): Record<string, Feed> {
  const bindings = bindSymbols(emitted, feeds, resident)
  return Object.fromEntries(
    [...emitted.shapes].map(([name, dims]) => [
      name,
      integers(dims.map((d) => evaluate(d, bindings))),
    ]),
  )
}

/** What the graph's symbols stand for in a run with these feeds, whose every dim is checked; `resident` inputs are not fed. */
export function bindSymbols(
  { inputs }: Pick<Emitted, 'inputs'>,
  feeds: Feeds,
  resident: object,
): Bindings {
  const bindings = new Map<string, number>()
  for (const [name, { shape }] of inputs) {
    if (name in resident) continue
    const got = feeds[name]?.shape
    if (!got) throw new Error(`internal: the graph's input "${name}" [${shape}] was not fed`)
    if (got.length !== shape.length)
      throw new Error(`internal: "${name}" is [${got}], the graph expects [${shape}]`)
    shape.forEach((d, i) => {
      const [, times, symbol] = /^(?:(\d+)\*)?([A-Za-z]\w*)$/.exec(String(d)) ?? []
      if (symbol && !bindings.has(symbol)) bindings.set(symbol, got[i]! / Number(times ?? 1))
    })
  }
  check(inputs, feeds, bindings)
  return bindings
}

function check(inputs: Emitted['inputs'], feeds: Feeds, bindings: Bindings): void {
  for (const [name, { shape }] of inputs) {
    const got = feeds[name]?.shape
    if (got && shape.some((d, i) => evaluate(d, bindings) !== got[i])) {
      throw new Error(
        `internal: "${name}" is [${got}], the graph expects [${shape}] with ${JSON.stringify(Object.fromEntries(bindings))}`,
      )
    }
  }
}
