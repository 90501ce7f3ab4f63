/** Token pairs of a dataset, by row. Rows are read on demand and tokenized once; their ids are kept, their text is not. */
import { toPreference } from '../data/preference.ts'
import { tokenizePair, type Cutting, type Pair } from '../data/pair.ts'
import { place, type Rows } from '../data/rows.ts'
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'

export type Cuts = { readonly pairs: number; readonly tokens: number }

/** What training asks of a dataset. */
export type PairSource = {
  readonly count: number
  /** Throws FormatError naming the row when it is not a preference. */
  get(row: number): Promise<Pair>
}

/**
 * Get `rows` before training starts, so that a bad row is found now and not after an hour; counts what was cut.
 * Throws FormatError for a pair that is longer than the model has positions.
 */
export async function survey(
  pairs: PairSource,
  rows: Iterable<number>,
  maxPositions: number,
  signal: AbortSignal,
): Promise<Cuts> {
  let [cutPairs, tokens] = [0, 0]
  for (const row of rows) {
    signal.throwIfAborted()
    const { cut, prompt, chosen, rejected } = await pairs.get(row)
    const length = prompt.length + Math.max(chosen.length, rejected.length)
    if (length > maxPositions)
      throw new FormatError(
        `${place(row)}: prompt and answer have ${length} tokens, the model has ${maxPositions} positions; set maxLength to at most ${maxPositions}`,
      )
    const lost = cut.prompt + cut.chosen + cut.rejected
    cutPairs += Number(lost > 0)
    tokens += lost
  }
  return { pairs: cutPairs, tokens }
}

export class Pairs implements PairSource {
  readonly #rows: Rows
  readonly #text: Text
  readonly #recipe: Cutting
  readonly #known = new Map<number, Pair>()

  constructor(rows: Rows, text: Text, recipe: Cutting) {
    this.#rows = rows
    this.#text = text
    this.#recipe = recipe
  }

  get count(): number {
    return this.#rows.count
  }

  async get(row: number): Promise<Pair> {
    const known = this.#known.get(row)
    if (known) return known
    const pair = tokenizePair(
      this.#text,
      toPreference(await this.#rows.read(row), row),
      this.#recipe,
    )
    this.#known.set(row, pair)
    return pair
  }
}
