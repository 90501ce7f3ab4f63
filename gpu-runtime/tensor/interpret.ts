/** The meaning of the primitives: a slow float64 interpreter, the oracle for gradients and for the ONNX emitter. */
import { broadcast, evaluate, type Bindings, type Shape } from './dim.ts'
import { is, order, type Attributes, type Op, type Tensor } from './tensor.ts'

/** A value of any dtype, row-major in float64; bools are 0 and 1. */
export type Value = { readonly shape: readonly number[]; readonly data: Float64Array }

/** Copies `data`, which must fill `shape`: that is not checked. */
export const value = (data: ArrayLike<number>, shape: readonly number[]): Value => ({
  shape,
  data: Float64Array.from(data),
})

/** Values of the leaves by name: inputs, weights and trainables. */
export type Leaves = ReadonlyMap<string, Value>

type Rule<O extends Op> = (
  inputs: readonly Value[],
  y: Tensor<O>,
  bindings: Bindings,
) => readonly Value[]

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

function strides(shape: readonly number[], rank: number): number[] {
  const out = new Array<number>(rank).fill(0)
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    out[rank - shape.length + i] = shape[i] === 1 ? 0 : step
    step *= shape[i]!
  }
  return out
}

/** f applied elementwise over broadcast operands. */
function map(f: (...xs: number[]) => number, operands: readonly Value[]): Value {
  const shape = operands
    .map((x) => x.shape as Shape)
    .reduce((a, b) => broadcast(a, b, 'interpret')) as number[]
  const steps = operands.map((x) => strides(x.shape, shape.length))
  const data = new Float64Array(product(shape))
  const at = new Array<number>(shape.length).fill(0)
  for (let i = 0; i < data.length; i++) {
    data[i] = f(
      ...operands.map(
        (x, k) => x.data[at.reduce((sum, p, axis) => sum + p * steps[k]![axis]!, 0)]!,
      ),
    )
    for (let axis = shape.length - 1; axis >= 0 && ++at[axis]! === shape[axis]; axis--) at[axis] = 0
  }
  return { shape, data }
}

const elementwise = (f: (...xs: number[]) => number) => (inputs: readonly Value[]) => [
  map(f, inputs),
]

function matmul(a: Value, b: Value, { transA, transB, scale }: Attributes['matmul']): Value {
  const [ar, ac] = a.shape.slice(-2) as [number, number]
  const [br, bc] = b.shape.slice(-2) as [number, number]
  const [m, k, n] = [transA ? ac : ar, transA ? ar : ac, transB ? br : bc]
  const lead = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2), 'interpret') as number[]
  const sa = strides(a.shape.slice(0, -2), lead.length)
  const sb = strides(b.shape.slice(0, -2), lead.length)
  const data = new Float64Array(product(lead) * m * n)
  for (let batch = 0; batch < product(lead); batch++) {
    let rest = batch,
      oa = 0,
      ob = 0
    for (let axis = lead.length - 1; axis >= 0; axis--) {
      const p = rest % lead[axis]!
      rest = Math.floor(rest / lead[axis]!)
      oa += p * sa[axis]!
      ob += p * sb[axis]!
    }
    oa *= ar * ac
    ob *= br * bc
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let s = 0
        for (let l = 0; l < k; l++) {
          s +=
            a.data[oa + (transA ? l * ac + i : i * ac + l)]! *
            b.data[ob + (transB ? j * bc + l : l * bc + j)]!
        }
        data[(batch * m + i) * n + j] = s * scale
      }
    }
  }
  return { shape: [...lead, m, n], data }
}

function softmaxRows({ shape, data }: Value): Value {
  const width = shape.at(-1)!
  const out = new Float64Array(data.length)
  for (let r = 0; r < data.length; r += width) {
    const row = data.subarray(r, r + width)
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity)
    let sum = 0
    for (let i = 0; i < width; i++) sum += out[r + i] = Math.exp(row[i]! - top)
    for (let i = 0; i < width; i++) out[r + i]! /= sum
  }
  return { shape, data: out }
}

function take(x: Value, index: Value): Value {
  const width = product(x.shape.slice(1))
  const data = new Float64Array(index.data.length * width)
  index.data.forEach((row, i) =>
    data.set(x.data.subarray(row * width, (row + 1) * width), i * width),
  )
  return { shape: [...index.shape, ...x.shape.slice(1)], data }
}

function join(xs: readonly Value[], axis: number): Value {
  const shape = xs[0]!.shape.map((d, i) =>
    i === axis ? xs.reduce((s, x) => s + x.shape[axis]!, 0) : d,
  )
  const inner = product(shape.slice(axis + 1))
  const data = new Float64Array(product(shape))
  let offset = 0
  for (const x of xs) {
    const run = x.shape[axis]! * inner
    for (let o = 0; o < product(shape.slice(0, axis)); o++) {
      data.set(x.data.subarray(o * run, (o + 1) * run), o * shape[axis]! * inner + offset)
    }
    offset += run
  }
  return { shape, data }
}

function parts(x: Value, axis: number, sizes: readonly number[]): Value[] {
  const inner = product(x.shape.slice(axis + 1))
  let start = 0
  return sizes.map((length) => {
    const shape = x.shape.map((d, i) => (i === axis ? length : d))
    const data = new Float64Array(product(shape))
    for (let o = 0; o < product(x.shape.slice(0, axis)); o++) {
      const from = (o * x.shape[axis]! + start) * inner
      data.set(x.data.subarray(from, from + length * inner), o * length * inner)
    }
    start += length
    return { shape, data }
  })
}

const none = () => []

/** `call`, `result` and the leaves are dealt with by the loop below. */
const rules: { [O in Op]: Rule<O> } = {
  input: none,
  weight: none,
  trainable: none,
  constant: (_, { attributes: { shape, data } }) => [value(data, shape)],
  parameter: none,
  call: none,
  result: none,
  add: (inputs, { dtype }) => [
    map(dtype === 'int32' ? (a, b) => (a! + b!) | 0 : (a, b) => a! + b!, inputs),
  ],
  sub: elementwise((a, b) => a! - b!),
  mul: (inputs, { dtype }) => [
    map(dtype === 'int32' ? (a, b) => Math.imul(a!, b!) : (a, b) => a! * b!, inputs),
  ],
  div: elementwise((a, b) => a! / b!),
  neg: elementwise((x) => -x!),
  exp: elementwise((x) => Math.exp(x!)),
  log: elementwise((x) => Math.log(x!)),
  tanh: elementwise((x) => Math.tanh(x!)),
  sqrt: elementwise((x) => Math.sqrt(x!)),
  sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x!))),
  softplus: elementwise((x) => Math.max(x!, 0) + Math.log1p(Math.exp(-Math.abs(x!)))),
  silu: elementwise((x) => x! / (1 + Math.exp(-x!))),
  lessOrEqual: elementwise((a, b) => (a! <= b! ? 1 : 0)),
  where: elementwise((c, a, b) => (c ? a! : b!)),
  cast: ([x]) => [x!],
  sum: ([x], { attributes: { axes } }) => {
    const shape = x!.shape.map((d, i) => (axes.includes(i) ? 1 : d))
    const out = strides(shape, shape.length)
    const data = new Float64Array(product(shape))
    const at = new Array<number>(shape.length).fill(0)
    for (let i = 0; i < x!.data.length; i++) {
      data[at.reduce((s, p, axis) => s + p * out[axis]!, 0)]! += x!.data[i]!
      for (let axis = shape.length - 1; axis >= 0 && ++at[axis]! === x!.shape[axis]; axis--)
        at[axis] = 0
    }
    return [{ shape, data }]
  },
  softmax: ([x]) => [softmaxRows(x!)],
  weigh: ([scores, values]) => {
    const p = softmaxRows(scores!)
    return [matmul(p, values!, { transA: false, transB: false, scale: 1 }), p]
  },
  matmul: ([a, b], { attributes }) => [matmul(a!, b!, attributes)],
  reshape: ([x], { attributes: { shape } }, bindings) => [
    { shape: shape.map((d) => evaluate(d, bindings)), data: x!.data },
  ],
  expand: ([x], { attributes: { shape } }, bindings) => {
    const full = shape.map((d) => evaluate(d, bindings))
    return [map((a) => a!, [x!, { shape: full, data: new Float64Array(product(full)) }])]
  },
  concat: (xs, { attributes: { axis } }) => [join(xs, axis)],
  split: ([x], { attributes: { axis, sizes } }, bindings) =>
    parts(
      x!,
      axis,
      sizes.map((d) => evaluate(d, bindings)),
    ),
  rows: ([x, index]) => [take(x!, index!)],
  oneHot: ([ids], { attributes: { depth } }) => {
    const data = new Float64Array(ids!.data.length * depth)
    ids!.data.forEach((id, i) => (data[i * depth + id] = 1))
    return [{ shape: [...ids!.shape, depth], data }]
  },
  draw: ([logits, temperature, topP, uniform], { attributes: { candidates } }) => {
    const [height, width] = logits!.shape as [number, number]
    const data = new Float64Array(height)
    for (let r = 0; r < height; r++) {
      const row = logits!.data.subarray(r * width, (r + 1) * width)
      const best = Array.from(row.keys())
        .sort((a, b) => row[b]! - row[a]! || a - b)
        .slice(0, candidates)
      data[r] = best[0]!
      if (candidates === 1) continue
      const p = softmaxRows(
        value(
          best.map((i) => row[i]! / temperature!.data[0]!),
          [candidates],
        ),
      ).data
      let [kept, share] = [0, 0]
      while (kept < candidates && share < topP!.data[0]!) share += p[kept++]!
      let left = uniform!.data[r]! * share
      let at = 0
      while (at < kept - 1 && left >= p[at]!) left -= p[at++]!
      data[r] = best[at]!
    }
    return [{ shape: [height], data }]
  },
  group: ([x, , ...indexes]) => indexes.map((index) => take(x!, index)),
  ungroup: ([inverse, ...rest], { attributes: { groups } }) => {
    const flat = rest
      .slice(0, groups)
      .map((y) => ({ shape: [y.data.length / y.shape.at(-1)!, y.shape.at(-1)!], data: y.data }))
    return [take(join(flat, 0), inverse!)]
  },
  rmsNorm: ([x, w], { attributes: { epsilon } }) => {
    const width = x!.shape.at(-1)!
    const inverse = new Float64Array(x!.data.length / width)
    for (let r = 0; r < inverse.length; r++) {
      const squares = x!.data.subarray(r * width, (r + 1) * width).reduce((s, v) => s + v * v, 0)
      inverse[r] = 1 / Math.sqrt(squares / width + epsilon)
    }
    const data = x!.data.map((v, i) => v * inverse[Math.floor(i / width)]! * w!.data[i % width]!)
    return [
      { shape: x!.shape, data },
      { shape: [...x!.shape.slice(0, -1), 1], data: inverse },
    ]
  },
  rope: ([x, cos, sin], { attributes: { heads } }) => {
    const half = cos!.shape[1]!
    const data = new Float64Array(x!.data.length)
    for (let row = 0; row < x!.shape[0]!; row++) {
      for (let head = 0; head < heads; head++) {
        const base = (row * heads + head) * 2 * half
        for (let i = 0; i < half; i++) {
          const [a, b] = [x!.data[base + i]!, x!.data[base + half + i]!]
          const [c, s] = [cos!.data[row * half + i]!, sin!.data[row * half + i]!]
          data[base + i] = a * c - b * s
          data[base + half + i] = b * c + a * s
        }
      }
    }
    return [{ shape: x!.shape, data }]
  },
  vocabulary: ([h, e], { attributes: { cap } }) => {
    const logits = matmul(h!, e!, { transA: false, transB: true, scale: 1 })
    if (cap !== null) logits.data.forEach((v, i) => (logits.data[i] = cap * Math.tanh(v / cap)))
    const width = e!.shape[0]!
    const lse = new Float64Array(logits.data.length / width)
    for (let r = 0; r < lse.length; r++) {
      const row = logits.data.subarray(r * width, (r + 1) * width)
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity)
      lse[r] = top + Math.log(row.reduce((s, v) => s + Math.exp(v - top), 0))
    }
    const slopes = softmaxRows(logits)
    if (cap !== null) logits.data.forEach((v, i) => (slopes.data[i]! *= 1 - (v / cap) ** 2))
    return [
      { shape: h!.shape.slice(0, 2), data: lse },
      matmul(slopes, e!, { transA: false, transB: false, scale: 1 }),
    ]
  },
}

/** Values of `roots`. Throws when a leaf is not given. */
export function interpret(
  roots: readonly Tensor[],
  leaves: Leaves,
  bindings: Bindings,
  given: ReadonlyMap<Tensor, Value> = new Map(),
): Value[] {
  const values = new Map<Tensor, readonly Value[]>()
  for (const [tensor, v] of given) values.set(tensor, [v])
  for (const y of order(roots, new Set(given.keys()))) {
    if (values.has(y)) continue
    const inputs = y.inputs.map((x) => values.get(x)![0]!)
    if (is(y, 'call')) {
      const { bound, results } = y.attributes.body
      values.set(
        y,
        interpret(results, leaves, bindings, new Map(bound.map((b, i) => [b, inputs[i]!]))),
      )
    } else if (is(y, 'result')) {
      values.set(y, [values.get(y.inputs[0]!)![y.attributes.index]!])
    } else if (is(y, 'input') || is(y, 'weight') || is(y, 'trainable')) {
      const v = leaves.get(y.attributes.name)
      if (!v) throw new Error(`no value given for ${y.op} ${y.attributes.name}`)
      values.set(y, [v])
    } else {
      values.set(y, (rules[y.op] as Rule<Op>)(inputs, y, bindings))
    }
  }
  return roots.map((r) => values.get(r)![0]!)
}
