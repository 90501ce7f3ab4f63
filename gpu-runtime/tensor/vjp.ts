/**
 * Vector-Jacobian products: for each primitive, the gradients of its inputs given that of its result (`g`; `gs` where it has
 * several). A rule may return a gradient that is still broadcast; the loop in gradient.ts sums it down. null: no gradient.
 */
import { mulDims, size } from './dim.ts'
import { node, type FloatType, type Op, type Tensor } from './tensor.ts'
import {
  add,
  cast,
  concat,
  constant,
  div,
  expand,
  group,
  matmul,
  mul,
  neg,
  oneHot,
  reshape,
  result,
  rope,
  sigmoid,
  softCap,
  softmax,
  split,
  sub,
  sum,
  ungroup,
  where,
} from './ops.ts'

/** One for each input of a node (or each of its results, coming in); null where nothing flows. */
export type Gradients = readonly (Tensor | null)[]
type Vjp<O extends Op> = (g: Tensor, y: Tensor<O>, gs: Gradients) => Gradients

const leaf = (): Gradients => []
const zeros = (like: Tensor): Tensor =>
  expand(
    reshape(
      constant(0, [], like.dtype),
      like.shape.map(() => 1),
    ),
    like.shape,
  )

/** `call` and `result` are structure: gradient.ts deals with them. */
export const vjps: { [O in Exclude<Op, 'call' | 'result'>]: Vjp<O> } = {
  input: leaf,
  weight: leaf,
  trainable: leaf,
  constant: leaf,
  parameter: leaf,
  add: (g) => [g, g],
  sub: (g) => [g, neg(g)],
  mul: (g, { inputs: [a, b] }) => [mul(g, b!), mul(g, a!)],
  div: (g, y) => [div(g, y.inputs[1]!), neg(div(mul(g, y), y.inputs[1]!))],
  neg: (g) => [neg(g)],
  exp: (g, y) => [mul(g, y)],
  log: (g, { inputs: [x] }) => [div(g, x!)],
  tanh: (g, y) => [mul(g, sub(1, mul(y, y)))],
  sqrt: (g, y) => [div(mul(g, 0.5), y)],
  sigmoid: (g, y) => [mul(g, mul(y, sub(1, y)))],
  softplus: (g, { inputs: [x] }) => [mul(g, sigmoid(x!))],
  silu: (g, y) => {
    const s = sigmoid(y.inputs[0]!)
    return [mul(g, add(s, mul(y, sub(1, s))))]
  },
  lessOrEqual: () => [null, null],
  where: (g, { inputs: [c] }) => [null, where(c!, g, 0), where(c!, 0, g)],
  cast: (g, { inputs: [x] }) => [cast(g, x!.dtype as FloatType)],
  sum: (g, { inputs: [x] }) => [expand(g, x!.shape)],
  softmax: (g, y) => {
    const t = mul(g, y)
    return [sub(t, mul(y, sum(t, [y.shape.length - 1])))]
  },
  weigh: (_, y, [g]) => {
    const [, values] = y.inputs
    const p = result(y, 1)
    const dp = matmul(g!, values!, { transB: true })
    const mean = sum(mul(g!, result(y, 0)), [g!.shape.length - 1])
    return [mul(p, sub(dp, mean)), matmul(p, g!, { transA: true })]
  },
  matmul: (g, { inputs: [a, b], attributes: { transA, transB, scale } }) => [
    transA
      ? matmul(b!, g, { transA: transB, transB: true, scale })
      : matmul(g, b!, { transB: !transB, scale }),
    transB
      ? matmul(g, a!, { transA: true, transB: transA, scale })
      : matmul(a!, g, { transA: !transA, scale }),
  ],
  reshape: (g, { inputs: [x] }) => [reshape(g, x!.shape)],
  expand: (g) => [g],
  concat: (g, { inputs, attributes: { axis } }) =>
    split(
      g,
      axis,
      inputs.map((x) => x.shape[axis]!),
    ),
  split: (_, y, gs) => [
    concat(
      gs.map((g, i) => g ?? zeros(result(y, i))),
      y.attributes.axis,
    ),
  ],
  rows: (g, { inputs: [x, index, inverse], attributes: { unique } }) => {
    if (unique) return [node('rows', [g, inverse!, index!], { unique }), null, null]
    const [height, width] = x!.shape
    if (typeof height !== 'number') return [null, null] // a frozen table of symbolic height is never trained
    const flat = oneHot(reshape(index!, [size(index!.shape)]), height)
    const rows = reshape(g, [size(index!.shape), width!])
    return [matmul(cast(flat, rows.dtype as FloatType), rows, { transA: true }), null]
  },
  oneHot: () => [null],
  draw: (_, { inputs }) => inputs.map(() => null),
  group: (_, y, gs) => [
    ungroup(
      gs.map((g, i) => g ?? zeros(result(y, i))),
      y.inputs.slice(2),
      y.inputs[1]!,
    ),
    null,
  ],
  ungroup: (g, { inputs: [inverse, ...rest], attributes: { groups } }) => [
    null,
    ...group(g, rest.slice(groups), inverse!),
  ],
  // With x̂ = x·inv: dx = inv·(g w − x̂·mean(g w x̂)), dw = Σ g x̂.
  rmsNorm: (_, y, [g]) => {
    const [x, w] = y.inputs
    const width = x!.shape.at(-1) as number
    const inverse = cast(result(y, 1), x!.dtype as FloatType)
    const unit = mul(x!, inverse)
    const gw = mul(g!, w!)
    const mean = mul(sum(mul(gw, unit), [x!.shape.length - 1]), 1 / width)
    return [mul(inverse, sub(gw, mul(unit, mean))), mul(g!, unit)]
  },
  // A rotation's transpose turns the other way.
  rope: (g, { inputs: [, cos, sin], attributes: { heads } }) => [rope(g, cos!, neg(sin!), heads)],
  // d lse / dh = softmax(h Eᵀ) E, the second result. The gradient in E is for small, trained vocabularies: it is not chunked.
  vocabulary: (_, y, [g]) => {
    const { cap } = y.attributes
    const [h, e] = y.inputs
    const [chunks, height, width] = h!.shape
    const column = cast(reshape(g!, [chunks!, height!, 1]), h!.dtype as FloatType)
    const flat = reshape(h!, [mulDims(chunks!, height!), width!])
    const logits = softCap(matmul(flat, e!, { transB: true }), cap)
    const p = softmax(logits)
    const bounded = cap === null ? null : mul(logits, 1 / cap) // the cap's slope is 1 − tanh²
    const weighted = mul(
      bounded ? mul(p, sub(1, mul(bounded, bounded))) : p,
      reshape(column, [flat.shape[0]!, 1]),
    )
    return [mul(column, result(y, 1)), matmul(weighted, flat, { transA: true })]
  },
}
