/**
 * The intermediate representation: an immutable DAG of primitives. Each concern has one table over all primitives, so a
 * primitive without a rule does not compile: shapes here, gradients in vjp.ts, meaning in interpret.ts, ONNX in onnx/rules.ts.
 *
 * Some primitives have several results (`split`, `group`, `weigh`, `rmsNorm`, `vocabulary`, `call`); a `result` node takes one of them.
 */
import {
  addDims,
  broadcast,
  mulDims,
  sameShape,
  ShapeError,
  size,
  type Dim,
  type Shape,
} from './dim.ts'

/**
 * Types of values in a graph. `compute` is the type in which the model's own arithmetic is done, chosen when the graph is emitted
 * (float32 on a CPU, bfloat16 or float16 on a card); weights have it, however they are stored. Losses and trainables are float32.
 */
export type DType = FloatType | IntegerType | 'bool'
export type FloatType = 'float32' | 'compute'
/** int64 are indexes; int32 wraps around. */
export type IntegerType = 'int64' | 'int32'

/** Attributes of each primitive. The shape of the operands is in `rules` below. */
export type Attributes = {
  // leaves
  input: { name: string; shape: Shape; dtype: DType }
  weight: { name: string; shape: Shape }
  trainable: { name: string; shape: Shape }
  constant: { shape: readonly number[]; data: readonly number[]; dtype: DType }
  parameter: { shape: Shape; dtype: DType }
  // elementwise, with numpy broadcasting
  add: {}
  sub: {}
  mul: {}
  div: {}
  neg: {}
  exp: {}
  log: {}
  tanh: {}
  sqrt: {}
  sigmoid: {}
  softplus: {}
  silu: {}
  lessOrEqual: {}
  where: {}
  cast: { to: FloatType | 'int32' }
  // along axes
  sum: { axes: readonly number[] }
  softmax: {}
  weigh: {}
  // a @ b over the last two axes, leading axes broadcast; either may be taken transposed; times `scale`
  matmul: { transA: boolean; transB: boolean; scale: number }
  // layout
  reshape: { shape: Shape }
  expand: { shape: Shape }
  concat: { axis: number }
  split: { axis: number; sizes: readonly Dim[] }
  // rows of a matrix
  rows: { unique: boolean }
  oneHot: { depth: number }
  // of logits [R, V], one of each row's `candidates` largest: int64 [R]
  draw: { candidates: number }
  group: { groups: number }
  ungroup: { groups: number }
  // the model's own
  rmsNorm: { epsilon: number }
  rope: { heads: number }
  vocabulary: { cap: number | null }
  // structure
  call: { body: Body }
  result: { index: number }
}

/** The primitives: keys of each table. */
export type Op = keyof Attributes

/**
 * A node, and the value it stands for. Nodes are told apart by identity: two equal ones are computed twice. The shape of a node
 * with several results is [] and means nothing; those of its `result` nodes count.
 */
export type Tensor<O extends Op = Op> = {
  readonly op: O
  readonly inputs: readonly Tensor[]
  readonly attributes: Attributes[O]
  readonly shape: Shape
  readonly dtype: DType
}

/**
 * A traced function. `bound` are the nodes whose values the caller gives, in the order of the call's inputs: its parameters
 * and any node that stands for a value from outside. Everything else that `results` reach is computed inside, anew for
 * each body: a backward body that mentions forward nodes without binding them recomputes them.
 * `results` grows when a gradient needs a value of the forward pass kept.
 */
export type Body = {
  readonly label: string
  readonly role: 'forward' | 'backward'
  readonly bound: readonly Tensor[]
  /** In a backward body: those of `bound` that are upstream gradients. What does not depend on them is recomputation. */
  readonly upstream: readonly Tensor[]
  readonly results: Tensor[]
}

type Rule<O extends Op> = (
  inputs: readonly Tensor[],
  attributes: Attributes[O],
) => { shape: Shape; dtype: DType }

const float = (shape: Shape): { shape: Shape; dtype: DType } => ({ shape, dtype: 'float32' })
const same = ([x]: readonly Tensor[]) => ({ shape: x!.shape, dtype: x!.dtype })
const binary =
  (what: string) =>
  ([a, b]: readonly Tensor[]) => ({
    shape: broadcast(a!.shape, b!.shape, what),
    dtype: common(what, a!, b!),
  })
/** The node itself stands for all its results; the shapes are those of its `result` nodes. */
const several = () => float([])

/** The type that all operands have. */
function common(what: string, first: Tensor, ...rest: readonly Tensor[]): DType {
  for (const x of rest)
    need(x.dtype === first.dtype, () => `${what}: ${first.dtype} and ${x.dtype} do not mix`)
  return first.dtype
}

function need(condition: boolean, message: () => string): void {
  if (!condition) throw new ShapeError(message())
}

const rules: { [O in Op]: Rule<O> } = {
  input: (_, { shape, dtype }) => ({ shape, dtype }),
  weight: (_, { shape }) => ({ shape, dtype: 'compute' }),
  trainable: (_, { shape }) => float(shape),
  constant: (_, { shape, data, dtype }) => {
    need(
      size(shape) === data.length,
      () => `constant: shape [${shape}] holds ${size(shape)} values, got ${data.length}`,
    )
    return { shape, dtype }
  },
  parameter: (_, { shape, dtype }) => ({ shape, dtype }),
  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  div: binary('div'),
  neg: same,
  exp: same,
  log: same,
  tanh: same,
  sqrt: same,
  sigmoid: same,
  softplus: same,
  silu: same,
  lessOrEqual: ([a, b]) => ({ shape: broadcast(a!.shape, b!.shape, 'lessOrEqual'), dtype: 'bool' }),
  where: ([c, a, b]) => {
    need(c!.dtype === 'bool', () => `where: condition is ${c!.dtype}, expected bool`)
    return {
      shape: broadcast(c!.shape, broadcast(a!.shape, b!.shape, 'where'), 'where'),
      dtype: common('where', a!, b!),
    }
  },
  cast: ([x], { to }) => ({ shape: x!.shape, dtype: to }),
  sum: ([x], { axes }) => {
    need(
      axes.every((a) => a >= 0 && a < x!.shape.length),
      () => `sum: axes [${axes}] of a shape [${x!.shape}]`,
    )
    return { shape: x!.shape.map((d, i) => (axes.includes(i) ? 1 : d)), dtype: x!.dtype }
  },
  softmax: same,
  weigh: ([scores, values]) => {
    common('weigh', scores!, values!)
    need(
      scores!.shape.at(-1) === values!.shape.at(-2),
      () => `weigh: scores [${scores!.shape}] of values [${values!.shape}]`,
    )
    return several()
  },
  matmul: ([a, b], { transA, transB }) => {
    const last = (s: Shape, trans: boolean): [Dim, Dim] =>
      trans ? [s.at(-1)!, s.at(-2)!] : [s.at(-2)!, s.at(-1)!]
    need(
      a!.shape.length >= 2 && b!.shape.length >= 2,
      () => `matmul: expected matrices, got [${a!.shape}] @ [${b!.shape}]`,
    )
    const [m, k] = last(a!.shape, transA)
    const [l, n] = last(b!.shape, transB)
    need(
      k === l,
      () =>
        `matmul: inner dimensions differ: [${a!.shape}]${transA ? 'ᵀ' : ''} @ [${b!.shape}]${transB ? 'ᵀ' : ''}`,
    )
    return {
      shape: [...broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2), 'matmul'), m, n],
      dtype: common('matmul', a!, b!),
    }
  },
  reshape: ([x], { shape }) => {
    need(
      size(shape) === size(x!.shape),
      () => `reshape: [${x!.shape}] has ${size(x!.shape)} elements, [${shape}] ${size(shape)}`,
    )
    return { shape, dtype: x!.dtype }
  },
  expand: ([x], { shape }) => {
    need(
      sameShape(broadcast(x!.shape, shape, 'expand'), shape),
      () => `expand: [${x!.shape}] does not fill [${shape}]`,
    )
    return { shape, dtype: x!.dtype }
  },
  concat: (xs, { axis }) => {
    const [first] = xs
    for (const x of xs) {
      need(
        x.shape.length === first!.shape.length &&
          x.shape.every((d, i) => i === axis || d === first!.shape[i]),
        () => `concat along ${axis}: [${first!.shape}] and [${x.shape}]`,
      )
    }
    const total = xs.map((x) => x.shape[axis]!).reduce(addDims)
    return { shape: first!.shape.map((d, i) => (i === axis ? total : d)), dtype: first!.dtype }
  },
  split: ([x], { axis, sizes }) => {
    need(
      sizes.reduce(addDims) === x!.shape[axis],
      () => `split: sizes [${sizes}] do not add up to axis ${axis} of [${x!.shape}]`,
    )
    return several()
  },
  rows: ([x, index], { unique }) => {
    need(
      x!.shape.length >= 2 && index!.dtype === 'int64',
      () =>
        `rows: expected a matrix or more, and int64 indexes, got [${x!.shape}], ${index!.dtype}`,
    )
    need(
      !unique || (index!.shape.length === 1 && x!.shape.length === 2),
      () => `rows: unique rows are a list's of a matrix, got [${index!.shape}] of [${x!.shape}]`,
    )
    return { shape: [...index!.shape, ...x!.shape.slice(1)], dtype: x!.dtype }
  },
  oneHot: ([ids], { depth }) => float([...ids!.shape, depth]),
  draw: ([logits, ...settings], { candidates }) => {
    const [height, width] = logits!.shape
    need(
      logits!.shape.length === 2 && logits!.dtype === 'float32' && candidates <= (width as number),
      () => `draw: ${candidates} candidates of ${logits!.dtype}[${logits!.shape}]`,
    )
    need(
      candidates === 1 ||
        (settings.length === 3 &&
          sameShape(settings[2]!.shape, [height!, 1]) &&
          settings.every((s) => s.dtype === 'float32')),
      () =>
        `draw: expected temperature, top p and numbers [${height},1], got [${settings.map((s) => s.shape).join('], [')}]`,
    )
    return { shape: [height!], dtype: 'int64' }
  },
  group: ([x, inverse], { groups }) => {
    need(
      x!.shape.length === 2 && x!.shape[0] === inverse!.shape[0],
      () => `group: ${groups} groups of [${x!.shape}] with inverse [${inverse!.shape}]`,
    )
    return several()
  },
  ungroup: (inputs, { groups }) => {
    const [inverse, ...ys] = [inputs[0]!, ...inputs.slice(1, 1 + groups)]
    return { shape: [inverse.shape[0]!, ys[0]!.shape.at(-1)!], dtype: ys[0]!.dtype }
  },
  rmsNorm: ([x, w]) => {
    common('rmsNorm', x!, w!)
    need(x!.shape.at(-1) === w!.shape[0], () => `rmsNorm: [${x!.shape}] by a weight [${w!.shape}]`)
    return several()
  },
  rope: ([x, cos, sin], { heads }) => {
    common('rope', x!, cos!, sin!)
    need(
      sameShape(cos!.shape, sin!.shape) &&
        mulDims(mulDims(cos!.shape[1]!, 2), heads) === x!.shape[1],
      () => `rope: [${x!.shape}] as ${heads} heads against a table [${cos!.shape}]`,
    )
    return same([x!])
  },
  vocabulary: ([h, e]) => {
    common('vocabulary', h!, e!)
    need(
      h!.shape.length === 3 && h!.shape[2] === e!.shape[1],
      () => `vocabulary: hidden [${h!.shape}] against [${e!.shape}]`,
    )
    return several()
  },
  call: (inputs, { body }) => {
    need(
      inputs.length === body.bound.length,
      () => `call ${body.label}: expected ${body.bound.length} inputs, got ${inputs.length}`,
    )
    inputs.forEach((x, i) =>
      need(
        sameShape(x.shape, body.bound[i]!.shape),
        () => `call ${body.label}: input ${i} is [${x.shape}], expected [${body.bound[i]!.shape}]`,
      ),
    )
    return several()
  },
  result: ([of], { index }) => resultType(of!, index),
}

/** Shape and type of one result of a node that has several. */
function resultType(of: Tensor, index: number): { shape: Shape; dtype: DType } {
  const { op, inputs, attributes } = of
  if (op === 'call') {
    const inner = (attributes as Attributes['call']).body.results[index]!
    return { shape: inner.shape, dtype: inner.dtype }
  }
  if (op === 'split') {
    const { axis, sizes } = attributes as Attributes['split']
    const [x] = inputs
    return { shape: x!.shape.map((d, i) => (i === axis ? sizes[index]! : d)), dtype: x!.dtype }
  }
  if (op === 'group')
    return { shape: [...inputs[2 + index]!.shape, inputs[0]!.shape[1]!], dtype: inputs[0]!.dtype }
  if (op === 'rmsNorm')
    return index === 0 ? same(inputs) : float([...inputs[0]!.shape.slice(0, -1), 1])
  if (op === 'weigh') {
    const [scores, values] = inputs
    if (index === 1) return same(inputs)
    const lead = broadcast(scores!.shape.slice(0, -2), values!.shape.slice(0, -2), 'weigh')
    return {
      shape: [...lead, scores!.shape.at(-2)!, values!.shape.at(-1)!],
      dtype: scores!.dtype,
    }
  }
  if (op === 'vocabulary') return index === 0 ? float(inputs[0]!.shape.slice(0, 2)) : same(inputs)
  throw new ShapeError(`internal: ${op} has one result only`)
}

/** A new node, its shape and type derived and its operands checked. Throws ShapeError. */
export function node<O extends Op>(
  op: O,
  inputs: readonly Tensor[],
  attributes: Attributes[O],
): Tensor<O> {
  const { shape, dtype } = (rules[op] as Rule<O>)(inputs, attributes)
  return { op, inputs, attributes, shape, dtype }
}

/** Narrows a node, and with it its attributes, to one primitive. */
export const is = <O extends Op>(tensor: Tensor, op: O): tensor is Tensor<O> => tensor.op === op

/** All nodes that `roots` need, each after its operands; bodies of calls are not entered, nodes in `stop` not passed. */
export function order(roots: readonly Tensor[], stop: ReadonlySet<Tensor> = new Set()): Tensor[] {
  const done = new Set<Tensor>()
  const sorted: Tensor[] = []
  for (const root of roots) {
    const stack: [Tensor, number][] = [[root, 0]]
    while (stack.length) {
      const top = stack.at(-1)!
      const [tensor, at] = top
      if (done.has(tensor)) {
        stack.pop()
      } else if (at < tensor.inputs.length && !stop.has(tensor)) {
        top[1]++
        if (!done.has(tensor.inputs[at]!)) stack.push([tensor.inputs[at]!, 0])
      } else {
        done.add(tensor)
        sorted.push(tensor)
        stack.pop()
      }
    }
  }
  return sorted
}
