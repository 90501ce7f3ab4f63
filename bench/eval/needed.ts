/**
 * What scoring needs, and no more: every token that differs in itself or in what comes before it once, logits where something is
 * predicted, attention where something is seen. A measure, however a scorer goes about it.
 */
import type { ScoreRequest } from '#gpu-runtime/inference/score.ts'
import { linearsOf, type Sizes } from '../train/flops.ts'

export type NeededTokens = {
  /** With each context once, shared by its choices alone. */
  readonly once: number
  /** With every common beginning of a task's requests once. */
  readonly tokens: number
  /** Of these, those from which something that counts is predicted. */
  readonly predicting: number
  /** (query, key) positions that see each other, per head. */
  readonly visible: number
}

/**
 * By task. Sequences are walked in the order of their ids, so that what one shares with all before it, it shares with the last:
 *
 *     a b c d        4 new
 *     a b c e        1 new, the last of 4 positions: it sees 4
 *     a f            1 new, sees 2
 */
export function neededTokens(tasks: readonly (readonly ScoreRequest[])[]): NeededTokens {
  let [once, tokens, predicting, visible] = [0, 0, 0, 0]
  for (const requests of tasks) {
    const sequences = requests.flatMap(({ context, choices, scored }) => {
      once += choices.reduce((n, choice) => n + choice.length - 1, context.length)
      return choices.map((choice, c) => {
        const ids = [...context, ...choice.slice(0, -1)]
        return { ids, from: ids.length - scored[c]! }
      })
    })
    sequences.sort((a, b) => compare(a.ids, b.ids))
    // Positions on the path of the sequence before, and from which of them something is known to be predicted.
    let last: readonly number[] = []
    let predicts: boolean[] = []
    for (const { ids, from } of sequences) {
      const shared = commonLength(last, ids)
      for (let i = shared; i < ids.length; i++) visible += i + 1
      tokens += ids.length - shared
      predicts = ids.map((_, i) => (i < shared ? predicts[i]! : false))
      for (let i = from; i < ids.length; i++) {
        if (!predicts[i]) predicting++
        predicts[i] = true
      }
      last = ids
    }
  }
  return { once, tokens, predicting, visible }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let i = 0
  while (i < a.length && i < b.length && a[i] === b[i]) i++
  return i
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = commonLength(a, b)
  return (a[i] ?? -1) - (b[i] ?? -1)
}

/** Of the forward pass. A multiplication and an addition are two. */
export function scoringFlops(config: Sizes, { tokens, predicting, visible }: NeededTokens): number {
  const { layers, heads, headDim, hidden, vocabulary } = config
  const weights = linearsOf(config).reduce((n, l) => n + l.in * l.out, 0)
  return (
    2 * layers * weights * tokens +
    2 * vocabulary * hidden * predicting +
    2 * 2 * layers * heads * headDim * visible
  )
}
