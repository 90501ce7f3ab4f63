/**
 * Attention of one new token a sequence, to keys and values that are kept: of G sequences, those of all earlier runs and those
 * that this run has made so far.
 *
 *   keys    [ fresh: M slots, one is filled a step | cached: S slots ]     a slot without a token stands at `never`
 *
 * Cached ones are not copied from step to step; what a step copies are the M slots. In a run of one step, there is one: its own.
 */
import { addDims, mulDims } from '../tensor/dim.ts'
import {
  add,
  cast,
  concat,
  input,
  lessOrEqual,
  matmul,
  reshape,
  rows,
  softCap,
  softmax,
  split,
  where,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { causalMask, type Stream } from './attention.ts'
import { madeTokens } from './addedTokens.ts'
import type { DecoderConfig } from './config.ts'
import type { Forest } from './forest.ts'

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

/**
 * A stream of one token for each of G sequences. Inputs: `token` [G], rotary tables, `at` [G, 1, 1, 1] and `keyAt` [G, 1, 1, M + S]
 * (positions), `slot` [1, 1, M, 1] (0 where this token's key goes, else 1), and of each layer `cached` [G, kvHeads, S, D] and `fresh`
 * [G, kvHeads, M, D], M being `slots`. Layers hand on the fresh keys and values with the new ones in them. Without `slots`, there
 * is neither `slot` nor `fresh`, M is 1, and `keyAt` is of the S cached ones.
 */
export function oneTokenEach(config: DecoderConfig, slots: number | null): Stream {
  const { kvHeads, ropes } = config
  const at = input('at', ['G', 1, 1, 1])
  const length = slots ?? 1
  const keyAt =
    slots === null
      ? concat([at, input('keyAt', ['G', 1, 1, 'S'])], 3)
      : input('keyAt', ['G', 1, 1, addDims(slots, 'S')])
  const here = slots === null ? [] : [lessOrEqual(input('slot', [1, 1, slots, 1]), 0)]
  return {
    ...madeTokens(config, input('token', ['G'], 'int64')),
    ropes: ropes.map(({ width }, i) => ({
      cos: cast(input(`stepCos${i}`, ['G', width / 2]), 'compute'),
      sin: cast(input(`stepSin${i}`, ['G', width / 2]), 'compute'),
    })),
    sight: {
      masks: (window) => [causalMask(at, keyAt, window), ...here],
      attend(layer, { heads, headDim, scale, cap }, { q, k, v }, [mask, slot]) {
        const queries = reshape(q, ['G', kvHeads, heads / kvHeads, headDim])
        const [keys, values] = kinds.map((kind) => {
          const made = reshape(kind === 'keys' ? k : v, ['G', kvHeads, 1, headDim])
          const before = () => input(fresh(kind, layer), ['G', kvHeads, length, headDim], 'compute')
          return {
            fresh: slot ? where(slot, made, before()) : made,
            cached: input(cached(kind, layer), ['G', kvHeads, 'S', headDim], 'compute'),
          }
        })
        const scores = [keys!.fresh, keys!.cached].map((some) =>
          softCap(matmul(queries, some, { transB: true, scale }), cap),
        )
        const p = split(softmax(add(concat(scores, 3), mask!)), 3, [length, 'S']) // [G, K, g, M] and S
        const attended = add(matmul(p[0]!, values!.fresh), matmul(p[1]!, values!.cached))
        return [reshape(attended, ['G', heads * headDim]), keys!.fresh, values!.fresh]
      },
    },
  }
}
