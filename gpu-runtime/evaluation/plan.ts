/**
 * The order in which an evaluation's documents are scored: batches for the engine, the same whoever
 * computes them, so that a part of them can be left to another run.
 */
import type { ScoreRequest } from '../inference/score.ts'
import { plant, requestTokens, treeTokens, type Tree } from '../inference/trees.ts'
import { byBudget } from '../data/batches.ts'

/** One request of a document: several where it has several contexts, or windows. */
export type Asked = {
  /** Which document, and which of its requests. */
  readonly document: number
  readonly part: number
  readonly request: ScoreRequest
}

export type Batch = readonly Tree<Asked>[]

/**
 * All requests in batches of at most `budget` tokens; behind a common beginning there is room for more (a
 * single request that is larger has a batch of its own). Common beginnings are shared within a batch;
 * trees of one batch are alike in shape, so that little of attention's rectangles stays empty.
 */
export function planBatches(asked: readonly Asked[], budget: number): Batch[] {
  const trees = plant(asked).flatMap((tree) => pieces(tree, budget))
  const sorted = trees.toSorted(
    (a, b) =>
      Number(b.prefix.length > 0) - Number(a.prefix.length > 0) ||
      most(b, ({ request }) => request.choices.length) -
        most(a, ({ request }) => request.choices.length) ||
      treeTokens(b) - treeTokens(a) ||
      order(a.items[0]!, b.items[0]!),
  )
  return byBudget(sorted, treeTokens, budget)
}

/** What a batch asks a scorer. */
export const treesOf = (batch: Batch): Tree[] =>
  batch.map(({ prefix, items }) => ({ prefix, items: items.map(({ request }) => request) }))

const order = (a: Asked, b: Asked): number => a.document - b.document || a.part - b.part

const most = <T>({ items }: Tree<T>, size: (item: T) => number): number =>
  Math.max(...items.map(size))

/**
 * Tokens that may follow a common beginning in one batch: four times its own, so that it is computed
 * again for a fifth of the tokens at most, but never more than four budgets.
 */
const room = (prefix: readonly number[], budget: number): number =>
  Math.min(Math.max(budget, 4 * prefix.length), 4 * budget)

/** A tree larger than the budget as several, its items by size so that each piece holds alike ones. */
function pieces(tree: Tree<Asked>, budget: number): Tree<Asked>[] {
  const { prefix, items } = tree
  if (items.length === 1) return [tree]
  const sorted = items.toSorted(
    (a, b) => requestTokens(b.request) - requestTokens(a.request) || order(a, b),
  )
  const own = ({ request }: Asked) => requestTokens(request) - prefix.length
  return byBudget(sorted, own, room(prefix, budget)).map((piece) => ({ prefix, items: piece }))
}
