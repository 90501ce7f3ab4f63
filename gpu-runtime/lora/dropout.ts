/**
 * LoRA's dropout: each adapted linear drops features of its own input, before A (PEFT). Which ones is a pure function of seed, step,
 * row of the dataset, segment, position, linear and feature, so a recomputation and a resumed run drop the same, in whatever runs the
 * pairs are gathered.
 *
 * Each token has two random words, which are inputs; a linear turns them into words of its own, and each feature has two that are
 * constants. From these a graph makes a coin, in 32-bit integers that wrap around:
 *
 *     u = word₀ a + b      v = word₁ c + d      a, b, c, d of the linear, a and c odd     [N, 1]
 *     coin = (u + fⱼ) (v + gⱼ)                                                            [N, in]
 */
import { integers, type Feeds } from '../tensor/feed.ts'
import { add, cast, constant, input, lessOrEqual, mul, where } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { stream } from '../random.ts'

const names = ['dropout0', 'dropout1'] as const
const words = names.map((name) => cast(input(name, ['N', 1], 'int64'), 'int32'))

/** `count` random words of a purpose, as int32. */
const draw = (seed: number, path: string, count: number): number[] => {
  const random = stream(seed, path)
  return Array.from({ length: count }, (_, i) => random.uint32(i) | 0)
}

const features = new Map<number, readonly [Tensor, Tensor]>()

/** fⱼ and gⱼ: [width] each. */
function featureWords(width: number): readonly [Tensor, Tensor] {
  const known = features.get(width)
  if (known) return known
  const drawn = draw(0, 'dropout/features', 2 * width)
  const every = (from: 0 | 1) =>
    constant(
      drawn.filter((_, i) => i % 2 === from),
      [width],
      'int32',
    )
  const made = [every(0), every(1)] as const
  features.set(width, made)
  return made
}

/** x [N, in] of the linear at `path`, with zeros in a part `p` of its places. What stays is not scaled by 1 / (1 − p). */
export function drop(path: string, x: Tensor, p: number): Tensor {
  const [a, b, c, d] = draw(0, `dropout/${path}`, 4)
  const word = (i: 0 | 1, factor: number, shift: number) => add(mul(words[i]!, factor | 1), shift)
  const [f, g] = featureWords(x.shape.at(-1) as number)
  const coin = mul(add(word(0, a!, b!), f), add(word(1, c!, d!), g))
  return where(lessOrEqual(coin, Math.round(p * 2 ** 32) - 2 ** 31 - 1), 0, x)
}

/** What the words of a step's tokens are drawn from. */
export type Coins = { readonly seed: number; readonly step: number }

/** The first tokens of a row's segment, and where they stand on the stream. */
export type Span = {
  readonly row: number
  readonly segment: number
  readonly start: number
  readonly length: number
}

/** Values of the words for a stream of `tokens`. */
export function dropoutFeeds({ seed, step }: Coins, spans: readonly Span[], tokens: number): Feeds {
  const values = names.map(() => new Int32Array(tokens))
  for (const { row, segment, start, length } of spans) {
    draw(seed, `dropout/${step}/${row}/${segment}`, 2 * length).forEach((word, i) => {
      values[i % 2]![start + Math.floor(i / 2)] = word
    })
  }
  return Object.fromEntries(names.map((name, i) => [name, integers(values[i]!, [tokens, 1])]))
}
