/**
 * How much memory a run of a graph takes: its nodes are walked in the order in which onnxruntime runs them, with the buffers that
 * its allocation planner would give them, and the most that is alive at a time is the answer.
 *
 * The planner knows a buffer by the shape it was declared with. A result takes over an operand's buffer where the kernel says it
 * may; else the buffer of equal shape and element size that fell free last; else a new one. A buffer that is taken over again
 * stays allocated in between, so what is saved in allocations is paid in memory.
 */
import type { Bindings } from '../tensor/dim.ts'
import type { Emitted } from '../onnx/emit.ts'
import type { Device } from '../onnx/engine.ts'
import type { Graph, Node } from '../onnx/proto.ts'
import { executionOrder, reads } from './order.ts'
import {
  bodyOf,
  bodyValues,
  bytesOf,
  bytesOfType,
  initialValue,
  runValues,
  type Value,
} from './values.ts'

/** Bytes. */
export type Memory = {
  /** Weights and constants. On a CPU, weights are mapped files and not counted. */
  readonly weights: number
  /** What is fed, and what is returned. */
  readonly inputs: number
  readonly outputs: number
  /** The most that intermediate values take at a time. */
  readonly values: number
  readonly total: number
}

/** The arena's unit. */
const rounded = (bytes: number): number => Math.ceil(bytes / 256) * 256

/** Kernels whose result is the operand's buffer. */
const aliases = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Identity'])

/** Operands whose buffer the result may take, by provider: where onnxruntime's kernels are registered with MayInplace. */
const inPlace: Readonly<Record<Device, Readonly<Record<string, readonly number[]>>>> = {
  cuda: { Sigmoid: [0], Softplus: [0], Tanh: [0] },
  cpu: {
    Add: [0, 1],
    Sub: [0, 1],
    Mul: [0, 1],
    Div: [0, 1],
    Neg: [0],
    Exp: [0],
    Log: [0],
    Sqrt: [0],
    Sigmoid: [0],
    Softplus: [0],
    Tanh: [0],
    Softmax: [0],
    LogSoftmax: [0],
  },
}

/** What a run takes whose symbols are bound so. */
export function memoryOf(emitted: Emitted, bindings: Bindings, device: Device): Memory {
  const { graph, inputs } = emitted
  const values = runValues(emitted, bindings)
  const read = new Set(graph.node.flatMap(reads))
  const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + rounded(b), 0)
  const weights = sum(
    (graph.initializer ?? [])
      .filter(({ externalData }) => device === 'cuda' || !externalData)
      .map((i) => bytesOf(initialValue(i))),
  )
  const fed = sum([...inputs.keys()].filter((n) => read.has(n)).map((n) => bytesOf(values.get(n)!)))
  const returned = sum(graph.output.map(({ name }) => bytesOf(values.get(name)!)))
  const most = peak(graph, values, declaredShapes(graph, values), device)
  return {
    weights,
    inputs: fed,
    outputs: returned,
    values: most,
    total: weights + fed + returned + most,
  }
}

/** What onnxruntime knows of a value's shape, as a string that is equal for equal shapes; null for too little. */
type Declared = (name: string) => string | null

function declaredShapes(graph: Graph, values: ReadonlyMap<string, Value>): Declared {
  const known = new Map<string, string | null>()
  for (const { name, type } of [...graph.input, ...(graph.valueInfo ?? [])]) {
    const dims = type.tensorType.shape?.dim
    if (dims) known.set(name, dims.map((d) => ('dimValue' in d ? d.dimValue : d.dimParam)).join())
  }
  const producer = new Map(graph.node.flatMap((node) => node.output.map((n) => [n, node])))
  const initializers = new Set((graph.initializer ?? []).map(({ name }) => name))
  const fixed = (shape: string | null) => shape !== null && /^[\d,]*$/.test(shape)
  const declared: Declared = (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const dims = values.get(name)?.dims.join() ?? null
    let shape: string | null = null
    if (initializers.has(name)) shape = dims
    else {
      // What follows from fixed shapes is fixed; an elementwise result has its operand's.
      const operands = producer.get(name)?.input.filter((operand) => operand !== '') ?? []
      const shapes = operands.map(declared)
      if (shapes.every(fixed)) shape = dims
      else if (producer.get(name)?.opType === 'Cast') shape = shapes[0]!
    }
    known.set(name, shape)
    return shape
  }
  return declared
}

/** The most bytes that the values of a graph take at a time, without its inputs, outputs and initializers. */
function peak(
  graph: Graph,
  values: ReadonlyMap<string, Value>,
  declared: Declared,
  device: Device,
): number {
  const order = executionOrder(graph.node)
  const outputs = new Set(graph.output.map(({ name }) => name))
  const uses = new Map<string, number>()
  for (const node of order)
    for (const name of reads(node)) uses.set(name, (uses.get(name) ?? 0) + 1)

  /** The buffer that holds a value, by the name of the first that it held; the graph's own values have none. */
  const buffers = new Map<string, string>()
  /** Values still to be read, by buffer. */
  const pending = new Map<string, number>()
  /** Buffers that fell free, the last first. */
  const free: string[] = []
  /** Node after which a buffer is not read any more, and bytes. */
  const lastUse = new Map<string, number>()
  const made = new Map<string, { readonly at: number; readonly bytes: number }>()

  const share = (name: string, buffer: string) => {
    buffers.set(name, buffer)
    pending.set(buffer, (pending.get(buffer) ?? 0) + (uses.get(name) ?? 0))
  }
  const layoutOf = (name: string): string | null => {
    const shape = declared(name)
    return shape === null ? null : `${bytesOfType[values.get(name)!.type]}:${shape}`
  }
  const operandBuffer = (node: Node, output: string): string | null | undefined => {
    const [first] = node.input
    if (aliases.has(node.opType)) return buffers.get(first!) ?? null
    for (const i of inPlace[device][node.opType] ?? []) {
      const buffer = buffers.get(node.input[i]!)
      if (buffer === undefined || pending.get(buffer) !== 1) continue
      const layout = layoutOf(output)
      if (layout !== null && layout === layoutOf(node.input[i]!)) return buffer
    }
    return undefined
  }

  order.forEach((node, at) => {
    for (const name of node.output) {
      if (name === '' || outputs.has(name)) continue
      const taken = operandBuffer(node, name)
      if (taken === null) continue // the graph's own
      const layout = layoutOf(name)
      const reusable =
        taken ??
        (layout === null || declared(name) === ''
          ? undefined
          : free.find((b) => layoutOf(b) === layout))
      if (reusable !== undefined) {
        if (taken === undefined) free.splice(free.indexOf(reusable), 1)
        share(name, reusable)
      } else {
        share(name, name)
        made.set(name, { at, bytes: rounded(bytesOf(values.get(name)!)) })
      }
    }
    for (const name of [...reads(node), ...node.output]) {
      const buffer = buffers.get(name)
      if (buffer === undefined) continue
      const isRead = !node.output.includes(name)
      if (isRead) pending.set(buffer, pending.get(buffer)! - 1)
      lastUse.set(buffer, at)
      if (pending.get(buffer) === 0 && !free.includes(buffer)) free.unshift(buffer)
    }
  })

  const ending = Map.groupBy(made.keys(), (buffer) => lastUse.get(buffer)!)
  let [now, most] = [0, 0]
  order.forEach((node, at) => {
    for (const name of node.output) {
      const buffer = made.get(name)
      if (buffer?.at === at) now += buffer.bytes
    }
    most = Math.max(most, now + (node.opType === 'Scan' ? turn(node, values, device) : 0))
    for (const buffer of ending.get(at) ?? []) now -= made.get(buffer)!.bytes
  })
  return most
}

/** The most that one turn of a Scan takes. */
function turn(node: Node, outer: ReadonlyMap<string, Value>, device: Device): number {
  const body = bodyOf(node)
  const values = bodyValues(
    body,
    node.input.map((name) => outer.get(name)!),
    (n) => outer.get(n)!,
  )
  return peak(body, values, (name) => values.get(name)?.dims.join() ?? null, device)
}
