/** Attention over a forest of segments: each level's queries against the keys of its ancestors and, causally, its own. */
import { mulDims } from '../tensor/dim.ts'
import { add, concat, group, keep, matmul, reshape, softmax, ungroup } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { spread, type Stream } from './forest.ts'

export type Attention = {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Scores are q · k times this. */
  readonly scale: number
}

/**
 * softmax(scale · q kᵀ + mask) v for q [N, heads·D], k and v [N, kvHeads·D], already normed and rotated: [N, heads·D]. Heads
 * that share a key head are rows of one matrix, so keys are never repeated. `masks` is what `causalMasks` gave.
 */
export function attend(
  { heads, kvHeads, headDim, scale }: Attention,
  { levels, queryInverse, keyInverse }: Stream,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  masks: readonly Tensor[],
): Tensor {
  const [n] = q.shape
  const split = (y: Tensor, count: number) => reshape(y, [mulDims(n!, count), headDim]) // [N·count, D]
  const queryRows = levels.map((l) => l.queries)
  const keyRows = levels.map((l) => l.keys)
  const queries = group(split(q, heads), queryRows, queryInverse).map(keep) // [G, K, C.., gT, D]
  const keys = group(split(k, kvHeads), keyRows, keyInverse).map(keep) // [G, K, C.., T, D]
  const values = group(split(v, kvHeads), keyRows, keyInverse).map(keep)

  const outputs = levels.map(({ branches, length }, l) => {
    const path = (xs: readonly Tensor[]) =>
      concat(
        xs.slice(0, l + 1).map((y) => spread(y, branches)),
        2 + branches.length,
      )
    const scores = matmul(queries[l]!, path(keys), { transB: true, scale }) // [G, K, C.., gT, T0+..+T]
    const wide = [...scores.shape.slice(0, -2), heads / kvHeads, length, scores.shape.at(-1)!]
    const masked = reshape(add(reshape(scores, wide), masks[l]!), scores.shape)
    return matmul(softmax(masked), path(values)) // [G, K, C.., gT, D]
  })
  return keep(reshape(ungroup(outputs, queryRows, queryInverse), [n!, mulDims(heads, headDim)]))
}
