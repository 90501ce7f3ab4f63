/**
 * Attention of one new token a sequence, to keys and values that are kept: of G sequences, those of all earlier runs and those
 * that this run has made so far.
 *
 *   keys    [ fresh: M slots, one is filled a step | cached: S slots ]     a slot without a token stands at `never`
 *
 * Cached ones are not copied from step to step; what a step copies are the M slots.
 */
import { addDims, mulDims, type Shape } from '../tensor/dim.ts'
import {
  add,
  cast,
  concat,
  expand,
  input,
  lessOrEqual,
  matmul,
  mul,
  reshape,
  rows,
  softCap,
  softmax,
  split,
  where,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { causalMask, overForest, type Stream } from './attention.ts'
import { madeTokens } from './addedTokens.ts'
import type { DecoderConfig } from './config.ts'
import type { Forest, Level } from './forest.ts'

/** The forest's stream, each of whose layers hands on its keys and values [N, kvHeads·D]. */
export function handingOn(stream: Stream & Forest): Stream & Forest {
  const { masks, attend } = stream.sight
  return {
    ...stream,
    sight: {
      masks,
      attend: (layer, attention, projections, given) => [
        ...attend(layer, attention, projections, given),
        projections.k,
        projections.v,
      ],
    },
  }
}

/**
 * The stream of a forest of one level, all of whose trees go on from the same P tokens. Inputs: `beforeAt` [1, 1, 1, 1, P]
 * (positions), and of each layer `cached` [1, kvHeads, 1, P, D].
 */
export function goingOn(
  { kvHeads, headDim }: DecoderConfig,
  stream: Stream & Forest,
): Stream & Forest {
  const [level] = stream.levels
  const { keys, keyAt, maskShapes } = level!
  const longer = (shape: Shape): Shape => [...shape.slice(0, -1), addDims('P', shape.at(-1)!)]
  const beforeAt = input('beforeAt', [...keyAt.shape.slice(0, -1).map(() => 1), 'P'])
  const [byHead, byRow] = maskShapes
  const whole: Level = {
    ...level!,
    keyAt: concat(
      [expand(beforeAt, [...keyAt.shape.slice(0, -1), 'P']), keyAt],
      keyAt.shape.length - 1,
    ),
    maskShapes: [longer(byHead), longer(byRow)],
  }
  const own = keys.shape.slice(0, -1) // [G, kvHeads, B]
  const before = (kind: Kind, layer: number) => {
    const first = input(cached(kind, layer), [1, kvHeads, 1, 'P', headDim], 'compute')
    return expand(reshape(first, [1, ...own.slice(1), 'P', headDim]), [...own, 'P', headDim])
  }
  const forest = { ...stream, levels: [whole] }
  return {
    ...forest,
    sight: overForest(forest, (layer) => [before('keys', layer), before('values', layer)]),
  }
}

/** What layers of a forest of one level handed on, sequence by sequence: [G, kvHeads, T, D]. */
export function bySequence(
  { kvHeads, headDim }: DecoderConfig,
  { levels: [level] }: Forest,
  handed: Tensor,
): Tensor {
  const [n] = handed.shape
  const found = rows(reshape(handed, [mulDims(n!, kvHeads), headDim]), level!.keys)
  return reshape(found, ['G', kvHeads, level!.keys.shape.at(-1)!, headDim])
}

/** Names of inputs: of keys and of values, by layer. */
export const cached = (kind: Kind, layer: number): string => `cached ${kind} ${layer}`
export const fresh = (kind: Kind, layer: number): string => `fresh ${kind} ${layer}`
export type Kind = (typeof kinds)[number]
export const kinds = ['keys', 'values'] as const

/** What `oneTokenEach` and `oneStep` begin with: a token of each of G sequences, its place in their rotary tables. */
function tokens(config: DecoderConfig): Omit<Stream, 'sight'> {
  return {
    ...madeTokens(config, input('token', ['G'], 'int64')),
    ropes: config.ropes.map(({ width }, i) => ({
      cos: cast(input(`stepCos${i}`, ['G', width / 2]), 'compute'),
      sin: cast(input(`stepSin${i}`, ['G', width / 2]), 'compute'),
    })),
  }
}

/**
 * A stream of one token for each of G sequences. Inputs: `token` [G], rotary tables, `at` [G, 1, 1, 1] and `keyAt` [G, 1, 1, M + S]
 * (positions), `slot` [1, 1, M, 1] (0 where this token's key goes, else 1), and of each layer `cached` [G, kvHeads, S, D] and `fresh`
 * [G, kvHeads, M, D], M being `slots`. Layers hand on the fresh keys and values with the new ones in them.
 */
export function oneTokenEach(config: DecoderConfig, slots: number): Stream {
  const { kvHeads } = config
  const at = input('at', ['G', 1, 1, 1])
  const keyAt = input('keyAt', ['G', 1, 1, addDims(slots, 'S')])
  const here = lessOrEqual(input('slot', [1, 1, slots, 1]), 0)
  return {
    ...tokens(config),
    sight: {
      masks: (window) => [causalMask(at, keyAt, window), here],
      attend(layer, { heads, headDim, scale, cap }, { q, k, v }, [mask, slot]) {
        const queries = reshape(q, ['G', kvHeads, heads / kvHeads, headDim])
        const [keys, values] = kinds.map((kind) => {
          const made = reshape(kind === 'keys' ? k : v, ['G', kvHeads, 1, headDim])
          const before = input(fresh(kind, layer), ['G', kvHeads, slots, headDim], 'compute')
          return {
            fresh: where(slot!, made, before),
            cached: input(cached(kind, layer), ['G', kvHeads, 'S', headDim], 'compute'),
          }
        })
        const scores = [keys!.fresh, keys!.cached].map((some) =>
          softCap(matmul(queries, some, { transB: true, scale }), cap),
        )
        const p = split(softmax(add(concat(scores, 3), mask!)), 3, [slots, 'S']) // [G, K, g, M] and S
        const attended = add(matmul(p[0]!, values!.fresh), matmul(p[1]!, values!.cached))
        return [reshape(attended, ['G', heads * headDim]), keys!.fresh, values!.fresh]
      },
    },
  }
}

/**
 * The same for a single step, whose new keys and values are written to the cache after it. Inputs: `token` [G], rotary tables, `at`
 * [G, 1, 1, 1, 1] and `keyAt` [G, 1, 1, 1, S] (positions), and of each layer `cached` [G, kvHeads, 1, S, D]. Layers hand on the new
 * keys and values [G, kvHeads·D].
 *
 * Each query head is a product of its own, of a vector: on a CPU those need no repacked keys, which takes longer than to read them
 * once for each head from its caches.
 */
export function oneStep(config: DecoderConfig): Stream {
  const { kvHeads } = config
  const at = input('at', ['G', 1, 1, 1, 1])
  const keyAt = concat([at, input('keyAt', ['G', 1, 1, 1, 'S'])], 4)
  return {
    ...tokens(config),
    sight: {
      masks: (window) => [causalMask(at, keyAt, window)],
      attend(layer, { heads, headDim, scale, cap }, { q, k, v }, [mask]) {
        const queries = reshape(mul(q, scale), ['G', kvHeads, heads / kvHeads, 1, headDim])
        const [keys, values] = kinds.map((kind) => ({
          own: reshape(kind === 'keys' ? k : v, ['G', kvHeads, 1, 1, headDim]),
          cached: input(cached(kind, layer), ['G', kvHeads, 1, 'S', headDim], 'compute'),
        }))
        const scores = [keys!.own, keys!.cached].map((some) =>
          softCap(matmul(queries, some, { transB: true }), cap),
        )
        const p = split(softmax(add(concat(scores, 4), mask!)), 4, [1, 'S']) // [G, K, g, 1, 1] and S
        const attended = add(mul(p[0]!, values!.own), matmul(p[1]!, values!.cached))
        return [reshape(attended, ['G', heads * headDim]), k, v]
      },
    },
  }
}
