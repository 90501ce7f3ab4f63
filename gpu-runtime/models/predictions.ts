/**
 * Predictions: which positions get a vocabulary projection (sources) and which token's log-probability is wanted from each
 * (targets). A position may be asked for several tokens: the last token of a prompt predicts the first of every branch. The
 * first wish of each source is in round 0, in the sources' order; a second goes to round 1, so that within a round no source
 * comes twice and the way back is a plain gather.
 *
 *   stream     [ p0 p1 p2 | c0 c1 | r0 | · ]        sources  [ p0 p1 p2 c0 r0 · ]
 *   round 0    p0→p1  p1→p2  p2→c0  c0→c1  r0→r1    round 1  p2→r0  ·
 */
import { addDims, mulDims, type Dim } from '../tensor/dim.ts'
import {
  cast,
  concat,
  input,
  largest,
  logSumExpVocabulary,
  matmul,
  mul,
  reshape,
  rows,
  softCap,
  sub,
  sum,
  uniqueRows,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { integers, type Feeds } from '../tensor/feed.ts'
import { chosenLogits, logAddExp, tokenFeeds } from './addedTokens.ts'
import type { Forward } from './decoder.ts'
import type { Layout } from './forest.ts'

export type Target = { readonly source: number; readonly token: number }

/** Rows of one chunk of the vocabulary projection at most. */
const chunkRows = 256

/** log p of each target, in the order that `place` returns: [R·S + A, 1]. */
export function logProbabilities(forward: Forward): Tensor {
  const list = mulDims('R', 'S')
  const sources = reshape(input('sources', ['S', 'R'], 'int64'), [list])
  const h = uniqueRows(forward.hidden, sources, input('sourceInverse', ['N'], 'int64')) // [R·S, D]
  const { wide, own, lse } = vocabulary(forward, h)
  const again = [input('again', ['A'], 'int64'), input('againInverse', [list], 'int64')] as const
  return concat(
    [
      sub(logit(forward, wide, own, 'targets'), lse),
      sub(
        logit(
          forward,
          uniqueRows(wide, ...again),
          own && uniqueRows(own, ...again),
          'againTargets',
        ),
        uniqueRows(lse, ...again),
      ),
    ],
    0,
  )
}

/**
 * Of positions h [R·S, D]: themselves in float32, the logits of added tokens [R·S, k], and the logsumexp over all tokens
 * [R·S, 1].
 */
function vocabulary(
  { head, addedHead, logitCap }: Forward,
  h: Tensor,
): { wide: Tensor; own: Tensor | null; lse: Tensor } {
  const [list, width] = h.shape as [Dim, number]
  const lse = reshape(logSumExpVocabulary(reshape(h, ['S', 'R', width]), head, logitCap), [list, 1])
  const wide = cast(h, 'float32')
  const own = addedHead && softCap(matmul(wide, addedHead, { transB: true }), logitCap)
  return { wide, own, lse: logAddExp(lse, own) }
}

/** Logits [n, 1] of the tokens that are fed as `name`, from positions [n, D] and their logits of added tokens [n, k]. */
function logit(
  { head, logitCap }: Forward,
  wide: Tensor,
  own: Tensor | null,
  name: string,
): Tensor {
  const tokens = input(name, [wide.shape[0]!], 'int64')
  const known = softCap(sum(mul(wide, cast(rows(head, tokens), 'float32')), [1]), logitCap)
  return chosenLogits(known, name, own)
}

/**
 * log p of any targets, many from one source if need be, for scoring: [K]. Nothing here is differentiated, so sources are
 * gathered as often as they are wanted, while each still has one logsumexp.
 */
export function scoredLogProbabilities(forward: Forward): Tensor {
  const list = mulDims('R', 'S')
  const h = rows(forward.hidden, reshape(input('sources', ['S', 'R'], 'int64'), [list])) // [R·S, D]
  const { wide, own, lse } = vocabulary(forward, h)
  const from = input('from', ['K'], 'int64')
  const logits = logit(forward, rows(wide, from), own && rows(own, from), 'targets')
  return reshape(sub(logits, rows(lse, from)), ['K'])
}

/** The likeliest token at each target's source, for `scoredLogProbabilities`' feeds: [K]. Logits of all sources exist at once. */
export function likeliestTokens({ hidden, head, addedHead, logitCap }: Forward): Tensor {
  const list = mulDims('R', 'S')
  const h = rows(hidden, reshape(input('sources', ['S', 'R'], 'int64'), [list]))
  const known = cast(matmul(h, head, { transB: true }), 'float32')
  const own = addedHead && matmul(cast(h, 'float32'), addedHead, { transB: true })
  const logits = softCap(own ? concat([known, own], 1) : known, logitCap)
  const found = reshape(cast(largest(logits), 'float32'), [list, 1])
  return reshape(rows(found, input('from', ['K'], 'int64')), ['K'])
}

/** Feeds for `scoredLogProbabilities`, in the targets' order. */
export function placeScored(layout: Layout, targets: readonly Target[]): Feeds {
  const at = new Map<number, number>()
  for (const { source } of targets) if (!at.has(source)) at.set(source, at.size)
  const chunks = Math.ceil(at.size / chunkRows)
  const rowsPerChunk = Math.ceil(at.size / chunks)
  const sources = new Float64Array(chunks * rowsPerChunk).fill(layout.blank)
  for (const [source, i] of at) sources[i] = source
  return {
    sources: integers(sources, [chunks, rowsPerChunk]),
    from: integers(targets.map((t) => at.get(t.source)!)),
    ...tokenFeeds(
      layout.config,
      'targets',
      targets.map((t) => t.token),
    ),
  }
}

/** The symbols' sum: how many log-probabilities a graph returns. */
export const predictionCount = addDims(mulDims('R', 'S'), 'A')

export type Predictions = {
  readonly feeds: Feeds
  /** Where target i's log-probability is in the result. */
  readonly index: readonly number[]
  /** Length of the result, padding included. */
  readonly count: number
}

/** Sort targets into rounds. At most two targets a source: the graph has two rounds. */
export function place(layout: Layout, targets: readonly Target[]): Predictions {
  const first = new Map<number, number>()
  const order: number[] = []
  const second: number[] = []
  const seconds = new Map<number, number>()
  targets.forEach(({ source }, i) => {
    if (!first.has(source)) {
      first.set(source, order.length)
      order.push(i)
    } else if (!seconds.has(source)) {
      seconds.set(source, second.length)
      second.push(i)
    } else {
      throw new Error(`internal: a third target for source ${source}`)
    }
  })
  // One place for the blank, and chunks of equal size.
  const chunks = Math.ceil((order.length + 1) / chunkRows)
  const rowsPerChunk = Math.ceil((order.length + 1) / chunks)
  const length = chunks * rowsPerChunk
  const sources = new Float64Array(length).fill(layout.blank)
  const tokens = new Float64Array(length)
  const sourceInverse = new Float64Array(layout.tokens).fill(length - 1)
  order.forEach((target, at) => {
    sources[at] = targets[target]!.source
    tokens[at] = targets[target]!.token
    sourceInverse[targets[target]!.source] = at
  })
  const again = new Float64Array(second.length + 1).fill(length - 1)
  const againTokens = new Float64Array(second.length + 1)
  const againInverse = new Float64Array(length).fill(second.length)
  const index = new Array<number>(targets.length)
  order.forEach((target, at) => (index[target] = at))
  second.forEach((target, at) => {
    const row = first.get(targets[target]!.source)!
    again[at] = row
    againTokens[at] = targets[target]!.token
    againInverse[row] = at
    index[target] = length + at
  })
  return {
    feeds: {
      sources: integers(sources, [chunks, rowsPerChunk]),
      sourceInverse: integers(sourceInverse),
      ...tokenFeeds(layout.config, 'targets', tokens),
      again: integers(again),
      againInverse: integers(againInverse),
      ...tokenFeeds(layout.config, 'againTargets', againTokens),
    },
    index,
    count: length + again.length,
  }
}
