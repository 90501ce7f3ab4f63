/** What attention does, whatever the tokens stand for; and attention over a forest of segments, as forest.ts lays it out. */
import { mulDims, type Dim } from '../tensor/dim.ts'
import {
  add,
  cast,
  concat,
  expand,
  group,
  keep,
  lessOrEqual,
  matmul,
  reshape,
  softCap,
  sub,
  ungroup,
  weigh,
  where,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Tokens } from './addedTokens.ts'
import type { Forest, Level } from './forest.ts'

export type Attention = {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Scores are q · k times this. */
  readonly scale: number
  /** And go through `softCap` of this. */
  readonly cap: number | null
}

/** How tokens see each other. */
export type Sight = {
  /** What says who sees whom through a window (null: everything before), made once for all layers that have it. */
  masks(window: number | null): readonly Tensor[]
  /**
   * softmax(capped scale · q kᵀ + mask) v for q [N, heads·D], k and v [N, kvHeads·D], already normed and rotated: first [N, heads·D],
   * then what the layer hands on to whoever made the sight (see `Forward`).
   */
  attend(
    layer: number,
    attention: Attention,
    projections: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
    masks: readonly Tensor[],
  ): readonly [Tensor, ...Tensor[]]
}

/** What a decoder runs on: N tokens. */
export type Stream = Tokens & {
  /** Tables [N, width/2] of each rotary embedding of the configuration. */
  readonly ropes: readonly { readonly cos: Tensor; readonly sin: Tensor }[]
  readonly sight: Sight
}

/**
 * Each level's queries see the keys of its ancestors and, causally, its own. Heads that share a key head are rows of one matrix, so
 * keys are never repeated. `before` gives keys and values [G, kvHeads, B, P, D] of a layer that all levels see before their own.
 */
export const overForest = (
  { levels, queryInverse, keyInverse }: Forest,
  before: (layer: number) => readonly [Tensor | null, Tensor | null] = () => [null, null],
): Sight => ({
  masks: (window) =>
    levels.map(({ queryAt, keyAt, maskShapes: [byHead, byRow] }) =>
      reshape(expand(causalMask(queryAt, keyAt, window), byHead), byRow),
    ),
  attend(layer, { heads, kvHeads, headDim, scale, cap }, { q, k, v }, masks) {
    const [n] = q.shape
    const split = (y: Tensor, count: number) => reshape(y, [mulDims(n!, count), headDim]) // [N·count, D]
    const queryRows = levels.map((l) => l.queries)
    const keyRows = levels.map((l) => l.keys)
    const queries = group(split(q, heads), queryRows, queryInverse).map(keep) // [G, K, C.., R, D]
    const keys = group(split(k, kvHeads), keyRows, keyInverse).map(keep) // [G, K, C.., B, T, D]
    const values = group(split(v, kvHeads), keyRows, keyInverse).map(keep)

    const [keysBefore, valuesBefore] = before(layer)
    const allKeys = seen(levels, keys, keysBefore)
    const allValues = seen(levels, values, valuesBefore)
    const outputs = levels.map((_level, l) => {
      const scores = matmul(queries[l]!, allKeys[l]!, { transB: true, scale }) // [G, K, C.., R, S]
      return keep(weigh(add(softCap(scores, cap), masks[l]!), allValues[l]!)) // [G, K, C.., R, D]
    })
    return [reshape(ungroup(outputs, queryRows, queryInverse), [n!, mulDims(heads, headDim)])]
  },
})

/**
 * What is added to scores: 0 where a query may see a key by their positions, which broadcast, else very negative. With a `window`,
 * a query sees itself and the window − 1 positions before it.
 */
export function causalMask(queryAt: Tensor, keyAt: Tensor, window: number | null): Tensor {
  const near = window === null ? 0 : where(lessOrEqual(sub(queryAt, window - 1), keyAt), 0, hidden)
  return cast(where(lessOrEqual(keyAt, queryAt), near, hidden), 'compute')
}

/** Added to a score, leaves nothing of its probability; within the range of float16. */
const hidden = -3e4

/**
 * For each level the keys (or values) [G, K, C1.., B, S, D] that it sees, from every level's own [G, K, C1.., B, T, D]: its
 * ancestors', once for all blocks of a depth, and those of its own depth up to its block. `before` are the roots' ancestors.
 */
function seen(levels: readonly Level[], own: readonly Tensor[], before: Tensor | null): Tensor[] {
  const all: Tensor[] = []
  let ancestors = before
  levels.forEach(({ depth }, l) => {
    const first = levels.findIndex((other) => other.depth === depth)
    if (l === first && l > 0)
      ancestors = forEachChild(all[l - 1]!, depth, own[l]!.shape[1 + depth]!)
    const mine = own.slice(first, l + 1)
    all.push(concat(ancestors ? [ancestors, ...mine] : mine, own[l]!.shape.length - 2))
  })
  return all
}

/** The parents' keys [G, K, C1.., B, S, D] as their children at `depth`, `count` each, see them: [G, K, C1..Cdepth, B, S, D]. */
function forEachChild(x: Tensor, depth: number, count: Dim): Tensor {
  const [before, after] = [x.shape.slice(0, 1 + depth), x.shape.slice(1 + depth)]
  return expand(reshape(x, [...before, 1, ...after]), [...before, count, ...after])
}
