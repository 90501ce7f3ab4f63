/** The matrix products of a training step at a model's own shapes, each with the FLOPs that ORPO needs of its kind. */
import { linearsOf, neededFlops, streamLength, visible, type Lengths, type Sizes } from './flops.ts'

/** [batch.., rows, inner] by [batch.., inner, columns], or by [batch.., columns, inner]ᵀ. */
export type Gemm = {
  readonly name: string
  readonly batch: readonly number[]
  readonly rows: number
  readonly inner: number
  readonly columns: number
  readonly transA: boolean
  readonly transB: boolean
  /** FLOPs of a step that are of this kind: its weight in the rate. */
  readonly needed: number
}

/** FLOPs of one product as it is measured, which for attention are twice those of its causal half. */
export const flopsOf = ({ batch, rows, inner, columns }: Gemm): number =>
  2 * batch.reduce((a, b) => a * b, 1) * rows * inner * columns

/** Rows of one projection onto the vocabulary: more do not make it faster. */
const chunkRows = 512

/** Products for a pair of average lengths; their `needed` add up to what `neededFlops` says of it. */
export function gemms(config: Sizes, lengths: Lengths): Gemm[] {
  const { layers, hidden, heads, kvHeads, headDim, vocabulary } = config
  const tokens = streamLength(lengths)
  const plain = { batch: [], transA: false, transB: false }
  const byShape = Map.groupBy(linearsOf(config), (l) => `${l.in} ${l.out}`)
  const linears = [...byShape.values()].flatMap((same): Gemm[] => {
    const { in: from, out: to } = same[0]!
    const names = same.map((l) => l.name).join(', ')
    const needed = 2 * layers * same.length * from * to * tokens
    return [
      { ...plain, name: names, rows: tokens, inner: from, columns: to, transB: true, needed },
      { ...plain, name: `d ${names}`, rows: tokens, inner: to, columns: from, needed },
    ]
  })

  const chunk = Math.ceil(tokens / Math.ceil(tokens / chunkRows))
  const projection = neededFlops(config, lengths).vocabulary / 2
  const head: Gemm[] = [
    {
      ...plain,
      name: 'vocabulary',
      rows: chunk,
      inner: hidden,
      columns: vocabulary,
      transB: true,
      needed: projection,
    },
    {
      ...plain,
      name: 'd vocabulary',
      rows: chunk,
      inner: vocabulary,
      columns: hidden,
      needed: projection,
    },
  ]

  // Levels as the model has them: all queries of a key head are rows of one matrix. In two halves, so that threads share evenly.
  const { prompt, chosen, rejected } = lengths
  const answer = Math.round((chosen + rejected) / 2)
  const perKey = heads / kvHeads
  const pairwise = 2 * layers * heads * headDim
  const ofPrompt = visible({ prompt, chosen: 0, rejected: 0 })
  const levels = [
    { level: 'prompt', queries: prompt / 2, keys: prompt, seen: ofPrompt },
    { level: 'answers', queries: answer, keys: prompt + answer, seen: visible(lengths) - ofPrompt },
  ]
  const attention = levels.flatMap(({ level, queries, keys, seen }): Gemm[] => {
    const rows = Math.max(1, Math.round(perKey * queries))
    const one = { batch: [kvHeads, 2], transA: false, transB: false, needed: pairwise * seen }
    const scores = { ...one, rows, inner: headDim, columns: keys, transB: true }
    const values = { ...one, rows, inner: keys, columns: headDim }
    const ofKeys = { ...one, rows: keys, inner: rows, columns: headDim, transA: true }
    return [
      { ...scores, name: `${level}: scores` },
      { ...values, name: `${level}: values` },
      { ...scores, name: `${level}: d probabilities` },
      { ...values, name: `${level}: d queries` },
      { ...ofKeys, name: `${level}: d keys` },
      { ...ofKeys, name: `${level}: d values` },
    ]
  })
  return [...linears, ...head, ...attention].filter((g) => g.needed > 0)
}

/** FLOP/s at which the needed FLOPs would be done if each were done at its kind's rate: Σ needed / Σ (needed / rate). */
export function weightedRate(measured: readonly { gemm: Gemm; flopsPerSecond: number }[]): number {
  const needed = measured.reduce((n, { gemm }) => n + gemm.needed, 0)
  return (
    needed / measured.reduce((n, { gemm, flopsPerSecond }) => n + gemm.needed / flopsPerSecond, 0)
  )
}
