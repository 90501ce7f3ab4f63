/**
 * How sequences that share a beginning are laid out: trees of segments on one packed stream of tokens.
 *
 *   prompt ─┬─ chosen            stream   [ prompt | chosen | rejected | · ]     · = the blank, always last
 *           └─ rejected          level 0  prompts [G, T0]    level 1  answers [G, C1, T1]
 *
 * Positions go on from the parent; a token sees its ancestors and, causally, its own segment. Linears run on the stream, which
 * has no padding but the blank; attention runs on the levels, whose short rows are filled with the blank. Nothing sees the
 * blank and nothing is predicted from it, so its gradient is zero all the way down and filling with it changes nothing.
 *
 * Segments of a depth may be cut into blocks of rows, each a level of its own: a block does not see the later ones, so their
 * scores, all masked, are not computed. Two blocks save a quarter of a long segment's scores.
 */
import { addDims, mulDims, type Shape } from '../tensor/dim.ts'
import { cast, input } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import { fedTokens, tokenFeeds } from './addedTokens.ts'
import { overForest, type Stream } from './attention.ts'
import type { DecoderConfig } from './config.ts'
import { ropeTables } from './rope.ts'

/** Tokens that go on from the parent's; children are alternatives that all see them. */
export type Segment = { readonly ids: readonly number[]; readonly children?: readonly Segment[] }

/** Attention's side of the graph: for trees of some depth, inputs that say what stands where. */
export type Forest = {
  readonly levels: readonly Level[]
  /** Where each row of q [N·heads, D] and of k [N·kvHeads, D] stands in the levels laid end to end. */
  readonly queryInverse: Tensor
  readonly keyInverse: Tensor
}

/**
 * Attention's view of a block of the segments at one depth: G trees, C1.. children at each depth, T rows a block, all padded;
 * g query heads to a key head. With `rowBatches` 2, R is [2, g·T/2] and B is [1], else R is [g·T] and B is [].
 */
export type Level = {
  readonly depth: number
  /** Rows of q: [G, kvHeads, C1.., R]. */
  readonly queries: Tensor
  /** Rows of k and v: [G, kvHeads, C1.., B, T]. */
  readonly keys: Tensor
  /** Positions: of queries [G, 1, C1.., 1, T, 1], of keys [G, 1, C1.., 1, 1, S], S the keys of all levels that it sees. */
  readonly queryAt: Tensor
  readonly keyAt: Tensor
  /** Of a mask: [G, 1, C1.., g, T, S] and [G, 1, C1.., R, S]. */
  readonly maskShapes: readonly [Shape, Shape]
}

/** Batches that the rows of one key head are cut into: a product of odd many batches would keep one of two threads waiting. */
export const rowBatches = ({ kvHeads }: Pick<DecoderConfig, 'kvHeads'>): number =>
  kvHeads % 2 === 1 ? 2 : 1

/** Levels of a forest in order: depth by depth, block by block. */
const levelsOf = (depth: number, blocks: number) =>
  Array.from({ length: depth * blocks }, (_, l) => ({
    depth: Math.floor(l / blocks),
    block: l % blocks,
  }))

/** Levels whose keys level `l` sees: all before it, since a depth's blocks stand in order. */
const seenBy = (l: number): number[] => Array.from({ length: l + 1 }, (_, i) => i)

/**
 * Declares the inputs that `layout` feeds. Symbols: N tokens, G trees, Cd children at depth d, Td rows of a block at depth d,
 * or half of them where `rowBatches` is 2.
 */
export function stream(config: DecoderConfig, depth: number, blocks = 1): Stream & Forest {
  const { heads, kvHeads } = config
  const perKey = heads / kvHeads
  const batches = rowBatches(config)
  const all = levelsOf(depth, blocks)
  const lengths = all.map((l) => mulDims(batches, `T${l.depth}`))
  const levels = all.map((level, l): Level => {
    const branches = Array.from({ length: level.depth }, (_, i) => `C${i + 1}`)
    const [trees, length] = [['G', 1, ...branches], lengths[l]!]
    const keys = seenBy(l)
      .map((s) => lengths[s]!)
      .reduce(addDims)
    const rows = [mulDims(perKey, `T${level.depth}`)]
    const [queryRows, one] = batches === 1 ? [rows, []] : [[batches, ...rows], [1]]
    return {
      depth: level.depth,
      queries: input(`queries${l}`, ['G', kvHeads, ...branches, ...queryRows], 'int64'),
      keys: input(`keys${l}`, ['G', kvHeads, ...branches, ...one, length], 'int64'),
      queryAt: input(`queryAt${l}`, [...trees, 1, length, 1]),
      keyAt: input(`keyAt${l}`, [...trees, 1, 1, keys]),
      maskShapes: [
        [...trees, perKey, length, keys],
        [...trees, ...queryRows, keys],
      ],
    }
  })
  const forest = {
    levels,
    queryInverse: input('queryInverse', [mulDims('N', heads)], 'int64'),
    keyInverse: input('keyInverse', [mulDims('N', kvHeads)], 'int64'),
  }
  return {
    ...fedTokens(config, 'ids', 'N'),
    ropes: config.ropes.map(({ width }, i) => ({
      cos: cast(input(`cos${i}`, ['N', width / 2]), 'compute'),
      sin: cast(input(`sin${i}`, ['N', width / 2]), 'compute'),
    })),
    sight: overForest(forest),
    ...forest,
  }
}

/** Where a segment's tokens went. */
export type Placed = {
  readonly start: number
  readonly length: number
  readonly parent: Placed | null
  readonly children: readonly Placed[]
}

/** The run's side: values for the inputs of `stream`, and where the tokens went. */
export type Layout = {
  readonly feeds: Feeds
  /** Tokens in the stream, the blank included. */
  readonly tokens: number
  /** Index of the blank. */
  readonly blank: number
  readonly config: DecoderConfig
  readonly roots: readonly Placed[]
}

/** Index in the stream of a segment's token t; null past its end, or where there is no segment. */
const tokenAt = (segment: Placed | null, t: number): number | null =>
  segment && t < segment.length ? segment.start + t : null

/** Stands for the position of what is no token: later than everything, so nothing sees it. */
export const never = 1e9

export type LayoutOptions = {
  readonly blocks?: number
  readonly first?: number
  readonly align?: number
}

/**
 * Lay out trees of equal depth, for the graph's `stream` of the same depth and blocks. `blankId` is any token id, `first` the
 * position of the roots' first tokens; rows of a level are filled up to a multiple of `align`. Throws when a tree is deeper than
 * `depth` or a root is empty.
 */
export function layout(
  config: DecoderConfig,
  roots: readonly Segment[],
  depth: number,
  blankId: number,
  { blocks = 1, first = 0, align = 1 }: LayoutOptions = {},
): Layout {
  const { heads, kvHeads } = config
  const perKey = heads / kvHeads
  const ids: number[] = []
  const positions: number[] = []
  /** Segments of each level by root and branch, in rows of equal width; null where a branch is missing. */
  const width = Array.from({ length: depth }, () => 1)
  const longest = Array.from({ length: depth }, () => 1)

  const measure = ({ ids: tokens, children = [] }: Segment, level: number): void => {
    if (level >= depth) throw new Error(`internal: a tree of more than ${depth} levels`)
    longest[level] = Math.max(longest[level]!, tokens.length)
    if (children.length > 0) width[level + 1] = Math.max(width[level + 1] ?? 1, children.length)
    children.forEach((c) => measure(c, level + 1))
  }
  for (const root of roots) {
    if (root.ids.length === 0)
      throw new Error('internal: a root without tokens: nothing to predict from')
    measure(root, 0)
  }

  const place = (
    { ids: tokens, children = [] }: Segment,
    parent: Placed | null,
    from: number,
  ): Placed => {
    const placed = { start: ids.length, length: tokens.length, parent, children: [] as Placed[] }
    tokens.forEach((id, i) => {
      ids.push(id)
      positions.push(from + i)
    })
    placed.children = children.map((c) => place(c, placed, from + tokens.length))
    return placed
  }
  const placedRoots = roots.map((r) => place(r, null, first))
  const blank = ids.length
  ids.push(blankId)
  positions.push(0)
  const tokens = ids.length

  let rows: (Placed | null)[] = placedRoots
  const byDepth = Array.from({ length: depth }, (_, d) => {
    if (d > 0)
      rows = rows.flatMap((p) =>
        Array.from({ length: width[d]! }, (_, c) => p?.children[c] ?? null),
      )
    return rows
  })
  // Rows of a block: the same for all blocks of a depth.
  const batches = rowBatches(config)
  const unit = batches * align
  const height = longest.map((n) => Math.ceil(n / blocks / unit) * unit)
  const padded = byDepth.some((segments, d) =>
    segments.some((s) => (s?.length ?? 0) < height[d]! * blocks),
  )
  if (!padded) height[0]! += unit // the blank needs a place of its own

  const feeds: Record<string, Feeds[string]> = {}
  const queryInverse = new Float64Array(tokens * heads)
  const keyInverse = new Float64Array(tokens * kvHeads)
  let queryBase = 0
  let keyBase = 0
  const levels = levelsOf(depth, blocks)
  levels.forEach((level, l) => {
    const length = height[level.depth]!
    const segments = byDepth[level.depth]!
    const branches = segments.length / roots.length
    const queries = new Float64Array(segments.length * heads * length)
    const keys = new Float64Array(segments.length * kvHeads * length)
    const seen = seenBy(l).map((s) => levels[s]!)
    const spanned = seen.reduce((n, s) => n + height[s.depth]!, 0)
    const queryAt = new Float32Array(segments.length * length)
    const keyAt = new Float32Array(segments.length * spanned)
    segments.forEach((segment, s) => {
      const [root, branch] = [Math.floor(s / branches), s % branches]
      for (let t = 0; t < length; t++) {
        const token = tokenAt(segment, level.block * length + t) ?? blank
        queryAt[s * length + t] = token === blank ? 0 : positions[token]!
        for (let kv = 0; kv < kvHeads; kv++) {
          const key = ((root * kvHeads + kv) * branches + branch) * length + t
          keys[key] = token * kvHeads + kv
          keyInverse[token * kvHeads + kv] = keyBase + key
          for (let g = 0; g < perKey; g++) {
            const query = (((root * kvHeads + kv) * branches + branch) * perKey + g) * length + t
            queries[query] = token * heads + kv * perKey + g
            queryInverse[token * heads + kv * perKey + g] = queryBase + query
          }
        }
      }
      const path: (Placed | null)[] = []
      for (let p: Placed | null = segment; p; p = p.parent) path.unshift(p)
      let at = s * spanned
      for (const { depth: d, block } of seen) {
        for (let t = 0; t < height[d]!; t++) {
          const token = tokenAt(path[d] ?? null, block * height[d]! + t)
          keyAt[at++] = token === null ? never : positions[token]!
        }
      }
    })
    const [g, ...cs] = [roots.length, ...width.slice(1, level.depth + 1)]
    const [rows, one] =
      batches === 1 ? [[perKey * length], []] : [[batches, (perKey * length) / batches], [1]]
    feeds[`queries${l}`] = integers(queries, [g!, kvHeads, ...cs, ...rows])
    feeds[`keys${l}`] = integers(keys, [g!, kvHeads, ...cs, ...one, length])
    feeds[`queryAt${l}`] = floats(queryAt, [g!, 1, ...cs, 1, length, 1])
    feeds[`keyAt${l}`] = floats(keyAt, [g!, 1, ...cs, 1, 1, spanned])
    queryBase += queries.length
    keyBase += keys.length
  })

  config.ropes.forEach((rope, r) => {
    const { cos, sin } = ropeTables(rope, positions)
    feeds[`cos${r}`] = floats(cos, [tokens, rope.width / 2])
    feeds[`sin${r}`] = floats(sin, [tokens, rope.width / 2])
  })
  return {
    feeds: {
      ...feeds,
      ...tokenFeeds(config, 'ids', ids),
      queryInverse: integers(queryInverse),
      keyInverse: integers(keyInverse),
    },
    tokens,
    blank,
    config,
    roots: placedRoots,
  }
}
