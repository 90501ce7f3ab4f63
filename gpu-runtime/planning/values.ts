/** Types and shapes of a graph's values for one run: what each ONNX operator that we emit makes of its operands. */
import type { Emitted } from '../onnx/emit.ts'
import { evaluate, type Bindings } from '../tensor/dim.ts'
import {
  elementTypes,
  type Attribute,
  type ElementType,
  type Graph,
  type Initializer,
  type Node,
} from '../onnx/proto.ts'

export type Value = {
  readonly type: ElementType
  readonly dims: readonly number[]
  /** The elements, where they are known and say a shape. */
  readonly integers?: readonly number[]
}

type Lookup = (name: string) => Value
type Rule = (inputs: readonly Value[], node: Node, outer: Lookup) => readonly Value[]

const typeNames = new Map<number, ElementType>(
  Object.entries(elementTypes).map(([name, id]) => [id, name as ElementType]),
)

export const bytesOfType: Readonly<Record<ElementType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
}

export const bytesOf = ({ type, dims }: Value): number =>
  dims.reduce((a, b) => a * b, bytesOfType[type])

export function initialValue({ dims, dataType, rawData }: Initializer): Value {
  const type = typeNames.get(dataType)!
  if (type !== 'int64' || !rawData) return { type, dims }
  return { type, dims, integers: Array.from(new BigInt64Array(rawData.slice().buffer), Number) }
}

function attribute(node: Node, name: string): Attribute | undefined {
  return node.attribute?.find((a) => a.name === name)
}
function integer(node: Node, name: string, otherwise: number): number {
  const found = attribute(node, name)
  return found?.type === 2 ? found.i : otherwise
}

function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1]
    return x === 1 ? y : x
  })
}

const same: Rule = ([x]) => [{ type: x!.type, dims: x!.dims }]
const elementwise: Rule = (inputs) => [
  { type: inputs[0]!.type, dims: inputs.map(({ dims }) => dims).reduce(broadcast) },
]
const comparison: Rule = (inputs, node, outer) => [
  { ...elementwise(inputs, node, outer)[0]!, type: 'bool' },
]
const product: Rule = ([a, b], node) => {
  const flipped = (dims: readonly number[], flag: string) =>
    integer(node, flag, 0) === 1 ? [dims.at(-1)!, dims.at(-2)!] : dims.slice(-2)
  const [rows] = flipped(a!.dims, 'transA')
  const columns = flipped(b!.dims, 'transB')[1]
  return [
    {
      type: a!.type,
      dims: [...broadcast(a!.dims.slice(0, -2), b!.dims.slice(0, -2)), rows!, columns!],
    },
  ]
}
const known = (x: Value | undefined, node: Node): readonly number[] => {
  if (!x?.integers)
    throw new Error(`internal: ${node.opType} ${node.name}: an operand is not known`)
  return x.integers
}
const replaced = (x: Value, axis: number, length: number): Value => ({
  type: x.type,
  dims: x.dims.map((d, i) => (i === (axis + x.dims.length) % x.dims.length ? length : d)),
})

const rules: Readonly<Record<string, Rule>> = {
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Neg: same,
  Exp: same,
  Log: same,
  Tanh: same,
  Sqrt: same,
  Sigmoid: same,
  Softplus: same,
  QuickGelu: same,
  Softmax: same,
  LogSoftmax: same,
  RotaryEmbedding: same,
  Identity: same,
  CumSum: same,
  Less: comparison,
  LessOrEqual: comparison,
  Equal: comparison,
  Where: ([condition, ...branches], node, outer) => {
    const [value] = elementwise(branches, node, outer)
    return [{ type: value!.type, dims: broadcast(condition!.dims, value!.dims) }]
  },
  Cast: ([x], node) => [{ type: typeNames.get(integer(node, 'to', 0))!, dims: x!.dims }],
  MatMul: product,
  FusedMatMul: product,
  ReduceSum: ([x, axes], node) => {
    const over = known(axes, node).map((a) => (a + x!.dims.length) % x!.dims.length)
    return [{ type: x!.type, dims: x!.dims.map((d, i) => (over.includes(i) ? 1 : d)) }]
  },
  Reshape: ([x, shape], node) => {
    const dims = known(shape, node)
    const size = x!.dims.reduce((a, b) => a * b, 1)
    const given = dims.reduce((a, b) => (b === -1 ? a : a * b), 1)
    return [{ ...x!, dims: dims.map((d) => (d === -1 ? size / given : d)) }]
  },
  Expand: ([x, shape], node) => [{ type: x!.type, dims: broadcast(x!.dims, known(shape, node)) }],
  Concat: (inputs, node) => {
    const axis = integer(node, 'axis', 0)
    const length = inputs.reduce((n, { dims }) => n + dims.at(axis)!, 0)
    return [replaced(inputs[0]!, axis, length)]
  },
  Split: ([x, sizes], node) =>
    known(sizes, node).map((length) => replaced(x!, integer(node, 'axis', 0), length)),
  Gather: ([x, index]) => [{ type: x!.type, dims: [...index!.dims, ...x!.dims.slice(1)] }],
  GatherElements: ([x, index]) => [{ type: x!.type, dims: index!.dims }],
  Transpose: ([x], node) => {
    const perm = attribute(node, 'perm')
    const to = perm?.type === 7 ? perm.ints : x!.dims.map((_, i) => x!.dims.length - 1 - i)
    return [{ type: x!.type, dims: to.map((i) => x!.dims[i]!) }]
  },
  Slice: ([x, starts, ends, axes], node) => {
    const [from, to, at] = [starts, ends, axes].map((operand) => known(operand, node))
    return [
      at!.reduce<Value>((value, axis, i) => {
        const length = value.dims.at(axis)!
        const absolute = (n: number) => Math.min(n < 0 ? n + length : n, length)
        return replaced(value, axis, Math.max(absolute(to![i]!) - absolute(from![i]!), 0))
      }, x!),
    ]
  },
  Unsqueeze: ([x, axes], node) => [
    { type: x!.type, dims: known(axes, node).reduce((d, at) => d.toSpliced(at, 0, 1), x!.dims) },
  ],
  Squeeze: ([x, axes], node) => {
    const gone = known(axes, node)
    return [{ type: x!.type, dims: x!.dims.filter((_, i) => !gone.includes(i)) }]
  },
  SimplifiedLayerNormalization: ([x]) => [
    { type: x!.type, dims: x!.dims },
    { type: 'float32', dims: [...x!.dims.slice(0, -1), 1] },
  ],
  // Over the first axis of all inputs, without a state.
  Scan: (inputs, node, outer) => {
    const body = bodyOf(node)
    const values = bodyValues(body, inputs, outer)
    const [{ dims }] = inputs as readonly [Value]
    return body.output.map(({ name }) => {
      const value = values.get(name)!
      return { type: value.type, dims: [dims[0]!, ...value.dims] }
    })
  },
}

/** The body of a Scan. */
export function bodyOf(node: Node): Graph {
  const found = attribute(node, 'body')
  if (found?.type !== 5) throw new Error(`internal: ${node.opType} ${node.name} has no body`)
  return found.g
}

/** Values in one turn of a Scan: each input without its first axis. */
export function bodyValues(
  body: Graph,
  inputs: readonly Value[],
  outer: Lookup,
): Map<string, Value> {
  const given = new Map(
    body.input.map(({ name }, i) => [name, { ...inputs[i]!, dims: inputs[i]!.dims.slice(1) }]),
  )
  return valuesOf(body, given, outer)
}

/** Every value of a program by name, in a run whose symbols are bound so. */
export function runValues(
  { graph, inputs, shapes }: Pick<Emitted, 'graph' | 'inputs' | 'shapes'>,
  bindings: Bindings,
): ReadonlyMap<string, Value> {
  const given = new Map<string, Value>()
  for (const [name, { shape, dtype }] of inputs)
    given.set(name, { type: dtype, dims: shape.map((d) => evaluate(d, bindings)) })
  for (const [name, dims] of shapes) {
    const integers = dims.map((d) => evaluate(d, bindings))
    given.set(name, { type: 'int64', dims: [integers.length], integers })
  }
  return valuesOf(graph, given)
}

/**
 * Every value of a graph by name, for these inputs; `outer` gives what a body takes from outside. Nodes stand in topological
 * order or not: each is visited when its operands are.
 */
function valuesOf(
  graph: Graph,
  inputs: ReadonlyMap<string, Value>,
  outer: Lookup = (name) => {
    throw new Error(`internal: nothing makes the value ${name}`)
  },
): Map<string, Value> {
  const values = new Map(inputs)
  for (const initializer of graph.initializer ?? [])
    values.set(initializer.name, initialValue(initializer))
  const producer = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node])))
  const get = (name: string): Value => values.get(name) ?? outer(name)
  const visit = (root: Node): void => {
    const stack = [root]
    while (stack.length > 0) {
      const node = stack.at(-1)!
      const missing = node.input.filter((name) => !values.has(name) && producer.has(name))
      if (missing.length > 0) {
        stack.push(...missing.map((name) => producer.get(name)!))
        continue
      }
      stack.pop()
      if (values.has(node.output[0]!)) continue
      const rule = rules[node.opType]
      if (!rule) throw new Error(`internal: no shape rule for the operator ${node.opType}`)
      const operands = node.input.map(get)
      rule(operands, node, get).forEach((value, i) => {
        if (node.output[i]) values.set(node.output[i], value)
      })
    }
  }
  graph.node.forEach(visit)
  return values
}
