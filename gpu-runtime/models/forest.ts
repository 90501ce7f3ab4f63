/**
 * How sequences that share a beginning are laid out: trees of segments on one packed stream of tokens.
 *
 *   prompt ─┬─ chosen            stream   [ prompt | chosen | rejected | · ]     · = the blank, always last
 *           └─ rejected          level 0  prompts [G, T0]    level 1  answers [G, C1, T1]
 *
 * Positions go on from the parent; a token sees its ancestors and, causally, its own segment. Linears run on the stream, which
 * has no padding but the blank; attention runs on the levels, whose short rows are filled with the blank. Nothing sees the
 * blank and nothing is predicted from it, so its gradient is zero all the way down and filling with it changes nothing.
 */
import { addDims, mulDims, type Dim, type Shape } from '../tensor/dim.ts'
import { cast, expand, input, lessOrEqual, reshape, sub, where } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import type { DecoderConfig } from './config.ts'
import { inverseFrequencies } from './rope.ts'

/** Tokens that go on from the parent's; children are alternatives that all see them. */
export type Segment = { readonly ids: readonly number[]; readonly children?: readonly Segment[] }

/** The graph's side: inputs and what follows from them, for trees of `depth` levels. */
export type Stream = {
  /** Tokens [N]. */
  readonly ids: Tensor
  /** Rotary tables [N, headDim/2]. */
  readonly cos: Tensor
  readonly sin: Tensor
  readonly levels: readonly Level[]
  /** Where each row of q [N·heads, D] and of k [N·kvHeads, D] stands in the levels laid end to end. */
  readonly queryInverse: Tensor
  readonly keyInverse: Tensor
}

/** Attention's view of the segments at one depth. G trees, C1.. children at each depth, T tokens a segment, all padded. */
export type Level = {
  /** Rows of q: [G, kvHeads, C1.., (heads/kvHeads)·T]. */
  readonly queries: Tensor
  /** Rows of k and v: [G, kvHeads, C1.., T]. */
  readonly keys: Tensor
  /** Positions: of queries [G, 1, C1.., 1, T, 1], of keys [G, 1, C1.., 1, 1, T0 + .. + T]. */
  readonly queryAt: Tensor
  readonly keyAt: Tensor
  /** C1.. of this level, and T. */
  readonly branches: readonly Dim[]
  readonly length: Dim
}

const levelNames = (level: number) => Array.from({ length: level }, (_, i) => `C${i + 1}`)

/** Keys T0 + .. + T of a level: its ancestors' and its own. */
export const span = (level: number): Dim =>
  Array.from({ length: level + 1 }, (_, i) => `T${i}` as Dim).reduce(addDims)

/**
 * Declares the inputs that `layout` feeds. Symbols: N tokens, G trees, Cl children at depth l, Tl tokens of a segment at
 * depth l.
 */
export function stream(config: DecoderConfig, depth: number): Stream {
  const { heads, kvHeads, headDim } = config
  const perKey = heads / kvHeads
  const levels = Array.from({ length: depth }, (_, l): Level => {
    const branches = levelNames(l)
    const length = `T${l}`
    const at: Shape = ['G', 1, ...branches, 1]
    return {
      queries: input(`queries${l}`, ['G', kvHeads, ...branches, mulDims(perKey, length)], 'int64'),
      keys: input(`keys${l}`, ['G', kvHeads, ...branches, length], 'int64'),
      queryAt: input(`queryAt${l}`, [...at, length, 1]),
      keyAt: input(`keyAt${l}`, [...at, 1, span(l)]),
      branches,
      length,
    }
  })
  return {
    ids: input('ids', ['N'], 'int64'),
    cos: cast(input('cos', ['N', headDim / 2]), 'compute'),
    sin: cast(input('sin', ['N', headDim / 2]), 'compute'),
    levels,
    queryInverse: input('queryInverse', [mulDims('N', heads)], 'int64'),
    keyInverse: input('keyInverse', [mulDims('N', kvHeads)], 'int64'),
  }
}

/**
 * What is added to each level's scores: 0 where a query may see a key, else very negative; [G, 1, C1.., 1, T, T0 + .. + T].
 * With a `window`, a query sees itself and the window − 1 positions before it.
 */
export const causalMasks = ({ levels }: Stream, window: number | null = null): Tensor[] =>
  levels.map(({ queryAt, keyAt }) => {
    const near =
      window === null ? 0 : where(lessOrEqual(sub(queryAt, window - 1), keyAt), 0, hidden)
    return cast(where(lessOrEqual(keyAt, queryAt), near, hidden), 'compute')
  })

/** Added to a score, leaves nothing of its probability; within the range of float16. */
const hidden = -3e4

/** An ancestor's keys [G, kvHeads, C1..Ca, Ta, D] as each branch of a deeper level sees them: [G, kvHeads, C1..Cl, Ta, D]. */
export function spread(x: Tensor, branches: readonly Dim[]): Tensor {
  const own = x.shape.slice(2, -2)
  if (own.length === branches.length) return x
  const [lead, tail] = [x.shape.slice(0, 2), x.shape.slice(-2)]
  return expand(
    reshape(x, [...lead, ...own, ...branches.slice(own.length).map(() => 1), ...tail]),
    [...lead, ...branches, ...tail],
  )
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
  readonly roots: readonly Placed[]
}

/** Stands for "no token": later than everything, so nothing sees it. */
const never = 1e9

/**
 * Lay out trees of equal depth. `blankId` is any token id. Throws when a tree is deeper than `depth` or a root is empty.
 */
export function layout(
  config: DecoderConfig,
  roots: readonly Segment[],
  depth: number,
  blankId: number,
): Layout {
  const { heads, kvHeads, headDim } = config
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
  const placedRoots = roots.map((r) => place(r, null, 0))
  const blank = ids.length
  ids.push(blankId)
  positions.push(0)
  const tokens = ids.length

  let rows: (Placed | null)[] = placedRoots
  const byLevel = Array.from({ length: depth }, (_, level) => {
    if (level > 0)
      rows = rows.flatMap((p) =>
        Array.from({ length: width[level]! }, (_, c) => p?.children[c] ?? null),
      )
    return rows
  })
  const padded = byLevel.some((segments, l) => segments.some((s) => (s?.length ?? 0) < longest[l]!))
  if (!padded) longest[0]!++ // the blank needs a place of its own

  const feeds: Record<string, Feeds[string]> = {}
  const queryInverse = new Float64Array(tokens * heads)
  const keyInverse = new Float64Array(tokens * kvHeads)
  let queryBase = 0
  let keyBase = 0
  for (let level = 0; level < depth; level++) {
    const length = longest[level]!
    const segments = byLevel[level]!
    const branches = segments.length / roots.length
    const queries = new Float64Array(segments.length * heads * length)
    const keys = new Float64Array(segments.length * kvHeads * length)
    const spanned = longest.slice(0, level + 1).reduce((a, b) => a + b)
    const queryAt = new Float32Array(segments.length * length)
    const keyAt = new Float32Array(segments.length * spanned)
    segments.forEach((segment, s) => {
      const [root, branch] = [Math.floor(s / branches), s % branches]
      for (let t = 0; t < length; t++) {
        const token = segment && t < segment.length ? segment.start + t : blank
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
      for (let l = 0; l <= level; l++) {
        for (let t = 0; t < longest[l]!; t++)
          keyAt[at++] = path[l] && t < path[l]!.length ? positions[path[l]!.start + t]! : never
      }
    })
    const shape = [roots.length, ...width.slice(1, level + 1)]
    const [g, ...cs] = shape
    feeds[`queries${level}`] = integers(queries, [g!, kvHeads, ...cs, perKey * length])
    feeds[`keys${level}`] = integers(keys, [g!, kvHeads, ...cs, length])
    feeds[`queryAt${level}`] = floats(queryAt, [g!, 1, ...cs, 1, length, 1])
    feeds[`keyAt${level}`] = floats(keyAt, [g!, 1, ...cs, 1, 1, spanned])
    queryBase += queries.length
    keyBase += keys.length
  }

  const frequencies = inverseFrequencies(config.rope)
  const half = headDim / 2
  const cos = new Float32Array(tokens * half)
  const sin = new Float32Array(tokens * half)
  positions.forEach((p, n) => {
    for (let i = 0; i < half; i++) {
      // transformers multiplies in float32.
      const angle = Math.fround(Math.fround(frequencies[i]!) * p)
      cos[n * half + i] = Math.cos(angle)
      sin[n * half + i] = Math.sin(angle)
    }
  })
  return {
    feeds: {
      ...feeds,
      ids: integers(ids),
      cos: floats(cos, [tokens, half]),
      sin: floats(sin, [tokens, half]),
      queryInverse: integers(queryInverse),
      keyInverse: integers(keyInverse),
    },
    tokens,
    blank,
    roots: placedRoots,
  }
}
