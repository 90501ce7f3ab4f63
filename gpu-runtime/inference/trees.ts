/**
 * Requests that begin alike, as trees: what they share is computed once.
 *
 *     prefix ─┬─ context ─┬─ choice
 *             │           └─ choice
 *             └─ context ─── choice
 */
import type { ScoreRequest } from './score.ts'

/** `items` go on from the prefix, which may be empty; their contexts are what follows it. */
export type Tree<T = ScoreRequest> = {
  readonly prefix: readonly number[]
  readonly items: readonly T[]
}

/** Tokens that a request puts on the stream: of a choice the last token is only predicted. */
export const requestTokens = ({ context, choices }: ScoreRequest): number =>
  context.length + choices.reduce((n, c) => n + c.length - 1, 0)

/** Tokens that a tree puts on the stream. */
export const treeTokens = <T extends { readonly request: ScoreRequest }>({
  prefix,
  items,
}: Tree<T>): number =>
  items.reduce((n, { request }) => n + requestTokens(request) - prefix.length, prefix.length)

/**
 * Sums over keys run in vectors of so many. Where shared beginnings are cut, and levels filled up, to a multiple of it, neither what is
 * shared nor what else is in the batch changes how a token's sums are rounded.
 */
export const grain = 16

/**
 * Groups items so that long common beginnings of their contexts are shared, in the order of their
 * tokens; nothing else depends on the order they are given in but the order within a group. A tree's
 * requests still have their whole contexts; `prefix` is the beginning that all of them have.
 */
export function plant<T extends { readonly request: ScoreRequest }>(
  items: readonly T[],
): Tree<T>[] {
  const sorted = items.toSorted((a, b) => compare(a.request.context, b.request.context))
  const trees: { shared: number; items: T[] }[] = []
  for (const item of sorted) {
    const { context } = item.request
    const open = trees.at(-1)
    const first = open?.items[0]!.request.context
    const common = first === undefined ? 0 : whole(commonLength(first, context, open!.shared))
    const members = open?.items.length ?? 0
    // Tokens saved with this item in the group, and without it.
    if (common >= grain && members * common >= (members - 1) * open!.shared) {
      open!.shared = common
      open!.items.push(item)
    } else trees.push({ shared: context.length, items: [item] })
  }
  return trees.map(({ shared, items: members }) => ({
    prefix: members.length === 1 ? [] : members[0]!.request.context.slice(0, shared),
    items: members,
  }))
}

/** Down to a multiple of the grain. */
const whole = (length: number): number => length - (length % grain)

function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  const end = Math.min(a.length, b.length, most)
  let i = 0
  while (i < end && a[i] === b[i]) i++
  return i
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = commonLength(a, b, Infinity)
  return (a[i] ?? -1) - (b[i] ?? -1)
}
