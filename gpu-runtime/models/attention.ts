/** Attention over a forest of segments: each level's queries against the keys of its ancestors and, causally, its own. */
import { mulDims } from '../tensor/dim.ts'
import { add, group, keep, matmul, reshape, ungroup, weigh } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { seen, type Stream } from './forest.ts'

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
  const queries = group(split(q, heads), queryRows, queryInverse).map(keep) // [G, K, C.., R, D]
  const keys = group(split(k, kvHeads), keyRows, keyInverse).map(keep) // [G, K, C.., B, T, D]
  const values = group(split(v, kvHeads), keyRows, keyInverse).map(keep)

  const allKeys = seen(levels, keys)
  const allValues = seen(levels, values)
  const outputs = levels.map((_, l) => {
    const scores = matmul(queries[l]!, allKeys[l]!, { transB: true, scale }) // [G, K, C.., R, S]
    return keep(weigh(add(scores, masks[l]!), allValues[l]!)) // [G, K, C.., R, D]
  })
  return reshape(ungroup(outputs, queryRows, queryInverse), [n!, mulDims(heads, headDim)])
}
