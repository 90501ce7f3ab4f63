/** The vocabulary in which models and losses are written: one function per primitive, and a few that are compositions. */
import { type Dim, type Shape } from './dim.ts'
import { is, node, order, type Body, type DType, type FloatType, type Tensor } from './tensor.ts'

/** A value that every run is fed, by its name; symbols in `shape` are bound by what is fed. */
export const input = (name: string, shape: Shape, dtype: DType = 'float32'): Tensor =>
  node('input', [], { name, shape, dtype })
/** A frozen tensor of the model's files, by its name there. */
export const weight = (name: string, shape: Shape): Tensor => node('weight', [], { name, shape })
/** A tensor that is trained; all of them are packed in one flat vector outside the graph. */
export const trainable = (name: string, shape: Shape): Tensor =>
  node('trainable', [], { name, shape })
/** A number is a scalar, []; an array is row-major and must fill `shape`, else ShapeError. */
export const constant = (
  data: number | readonly number[],
  shape: readonly number[] = [],
  dtype: DType = 'float32',
): Tensor => node('constant', [], { shape, data: typeof data === 'number' ? [data] : data, dtype })

/** A number takes the type of what it meets. */
const operand = (x: Tensor | number, like: Tensor | number): Tensor =>
  typeof x === 'number' ? constant(x, [], typeof like === 'number' ? 'float32' : like.dtype) : x

/** The same values in another type; nothing where they have it. The gradient goes back to the type of x. */
export const cast = (x: Tensor, to: FloatType | 'int32'): Tensor =>
  x.dtype === to ? x : node('cast', [x], { to })

/** Elementwise, as all up to `where`: operands broadcast as in numpy, a number stands for a scalar. */
export const add = (a: Tensor, b: Tensor | number): Tensor => node('add', [a, operand(b, a)], {})
export const sub = (a: Tensor | number, b: Tensor | number): Tensor =>
  node('sub', [operand(a, b), operand(b, a)], {})
export const mul = (a: Tensor, b: Tensor | number): Tensor => node('mul', [a, operand(b, a)], {})
export const div = (a: Tensor | number, b: Tensor | number): Tensor =>
  node('div', [operand(a, b), operand(b, a)], {})
export const neg = (x: Tensor): Tensor => node('neg', [x], {})
export const exp = (x: Tensor): Tensor => node('exp', [x], {})
export const log = (x: Tensor): Tensor => node('log', [x], {})
export const tanh = (x: Tensor): Tensor => node('tanh', [x], {})
export const sqrt = (x: Tensor): Tensor => node('sqrt', [x], {})
export const sigmoid = (x: Tensor): Tensor => node('sigmoid', [x], {})
/** log(1 + eˣ). */
export const softplus = (x: Tensor): Tensor => node('softplus', [x], {})
/** x · sigmoid(x). */
export const silu = (x: Tensor): Tensor => node('silu', [x], {})
/** a ≤ b, elementwise: bool. No gradient passes. */
export const lessOrEqual = (a: Tensor, b: Tensor | number): Tensor =>
  node('lessOrEqual', [a, operand(b, a)], {})
/** a where the condition (bool) holds, else b; all three broadcast. */
export const where = (condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor =>
  node('where', [condition, operand(a, b), operand(b, a)], {})

/** Sum over `axes`, which stay as dims of 1. */
export const sum = (x: Tensor, axes: readonly number[]): Tensor => node('sum', [x], { axes })
/** Sum of everything, a scalar. */
export const total = (x: Tensor): Tensor =>
  reshape(
    sum(
      x,
      x.shape.map((_, i) => i),
    ),
    [],
  )
/** Over the last axis. */
export const softmax = (x: Tensor): Tensor => node('softmax', [x], {})

/**
 * Averages of values [.., S, D] by the softmax of scores [.., M, S] over the last axis: [.., M, D]. Leading axes of the values
 * broadcast. The gradient takes Σ g · result for each row instead of Σ dp · p, which is equal and a pass over the scores less.
 */
export const weigh = (scores: Tensor, values: Tensor): Tensor =>
  result(node('weigh', [scores, values], {}), 0)

/**
 * scale · a b over the last two axes: [.., M, K] by [.., K, N] is [.., M, N]; leading axes broadcast, `trans*` swaps the
 * last two first.
 */
export const matmul = (
  a: Tensor,
  b: Tensor,
  {
    transA = false,
    transB = false,
    scale = 1,
  }: { transA?: boolean; transB?: boolean; scale?: number } = {},
): Tensor => node('matmul', [a, b], { transA, transB, scale })

/** The same elements in row-major order; their number must agree symbolically, else ShapeError. */
export const reshape = (x: Tensor, shape: Shape): Tensor => node('reshape', [x], { shape })
/** Broadcast to exactly `shape`: dims of 1, and leading ones that are missing, are repeated. */
export const expand = (x: Tensor, shape: Shape): Tensor => node('expand', [x], { shape })
/** Along `axis` (counted from 0); all other dims are equal. */
export const concat = (xs: readonly Tensor[], axis: number): Tensor =>
  xs.length === 1 ? xs[0]! : node('concat', xs, { axis })
const results = new WeakMap<Tensor, Tensor[]>()

/** Result `index` of a node that has several (see tensor.ts): one and the same node for whoever asks. */
export function result(of: Tensor, index: number): Tensor {
  const known = results.get(of) ?? []
  results.set(of, known)
  return (known[index] ??= node('result', [of], { index }))
}
/** Consecutive parts along `axis`; `sizes` add up to its dim, else ShapeError. The inverse of `concat`. */
export function split(x: Tensor, axis: number, sizes: readonly Dim[]): Tensor[] {
  if (sizes.length === 1 && sizes[0] === x.shape[axis]) return [x]
  const parts = node('split', [x], { axis, sizes })
  return sizes.map((_, i) => result(parts, i))
}

/** Rows of x [R, D] by `index` [...]: [..., D], where D may be several axes. Frozen: no gradient reaches x unless x is a trainable table (see embed in vjp.ts). */
export const rows = (x: Tensor, index: Tensor): Tensor =>
  node('rows', [x, index], { unique: false })

/**
 * Rows of x [R, D] by a list [L] in which a row may come once, the last entry being a blank that carries no gradient.
 * `inverse` [R] says where in the list each row is, and points at the blank for rows that are not there.
 */
export const uniqueRows = (x: Tensor, index: Tensor, inverse: Tensor): Tensor =>
  node('rows', [x, index, inverse], { unique: true })

/** ids [...] to [..., depth] of zeros and ones. */
export const oneHot = (ids: Tensor, depth: number): Tensor => node('oneHot', [ids], { depth })

/** The position of the largest of each row of logits [R, V], the first of equals: int64 [R]. No gradient passes, as in `draw`. */
export const largest = (logits: Tensor): Tensor => node('draw', [logits], { candidates: 1 })

/**
 * A position for each row of logits [R, V], drawn by softmax(logits / temperature): int64 [R]. Of the `candidates` largest, those
 * are left that come before a share `topP` of their probability is full. `uniform` [R, 1] in [0, 1) decides; the others are [].
 */
export const draw = (
  logits: Tensor,
  candidates: number,
  settings: { readonly temperature: Tensor; readonly topP: Tensor; readonly uniform: Tensor },
): Tensor =>
  node('draw', [logits, settings.temperature, settings.topP, settings.uniform], { candidates })

/**
 * Sort the rows of x [R, D] into padded groups: indexes[i] [...] gives [..., D]. Each row is in exactly one place, except the
 * last, a blank that fills the padding and never carries gradient. `inverse` [R] finds a row in the groups laid end to end.
 */
export function group(x: Tensor, indexes: readonly Tensor[], inverse: Tensor): Tensor[] {
  const groups = node('group', [x, inverse, ...indexes], { groups: indexes.length })
  return indexes.map((_, i) => result(groups, i))
}

/** The inverse of `group`. */
export const ungroup = (
  ys: readonly Tensor[],
  indexes: readonly Tensor[],
  inverse: Tensor,
): Tensor => node('ungroup', [inverse, ...ys, ...indexes], { groups: ys.length })

/** x / √(mean(x²) + ε) · w over the last axis. */
export const rmsNorm = (x: Tensor, w: Tensor, epsilon: number): Tensor =>
  result(node('rmsNorm', [x, w], { epsilon }), 0)

/** Rotary embedding, half-split form: x [N, heads·D], tables [N, D/2]. */
export const rope = (x: Tensor, cos: Tensor, sin: Tensor, heads: number): Tensor =>
  node('rope', [x, cos, sin], { heads })

/**
 * log Σᵥ exp(h · Eᵥ) for h [chunks, rows, D] and E [V, D]: [chunks, rows]. Logits exist for one chunk at a time. The gradient
 * in h is softmax(h Eᵀ) E, which does not depend on the loss and is made in the same pass over the vocabulary. With a `cap`, the
 * logits are those of `softCap`.
 */
export const logSumExpVocabulary = (h: Tensor, e: Tensor, cap: number | null = null): Tensor =>
  result(node('vocabulary', [h, e], { cap }), 0)

/** cap · tanh(x / cap), within ±cap; x itself where there is no cap. */
export const softCap = (x: Tensor, cap: number | null): Tensor =>
  cap === null ? x : mul(tanh(mul(x, 1 / cap)), cap)

const keeping = new WeakSet<Tensor>()

/** Mark a value that is worth its memory: under `ATTENTION` recomputation it is kept for the backward pass. */
export function keep(x: Tensor): Tensor {
  keeping.add(x)
  return x
}
/** Was this very node marked by `keep`? */
export const isKept = (x: Tensor): boolean => keeping.has(x)

/**
 * A function with a name, traced once and called once: the border at which recomputation happens. Trainables that it
 * mentions become inputs of the call by themselves; weights and graph inputs are seen through it.
 */
export function call(
  label: string,
  inputs: readonly Tensor[],
  f: (...xs: Tensor[]) => readonly Tensor[],
): Tensor[] {
  const parameters = inputs.map((x) => node('parameter', [], { shape: x.shape, dtype: x.dtype }))
  const results = [...f(...parameters)]
  const free = order(results).filter((x) => is(x, 'trainable'))
  const body: Body = {
    label,
    role: 'forward',
    bound: [...parameters, ...free],
    upstream: [],
    results,
  }
  const made = node('call', [...inputs, ...free], { body })
  return results.map((_, i) => result(made, i))
}
