/** Token pairs of a dataset, by row. Nothing is kept: a row is read and tokenized each time it is asked for. */
import { toPreference, type Preference } from '../data/preference.ts'
import { checkPair, tokenizePair, type Cutting, type Pair } from '../data/pair.ts'
import { place, type Rows } from '../data/rows.ts'
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'

/** What training asks of a dataset. */
export type PairSource = {
  readonly count: number
  /** Rejects with FormatError naming the row when it is not a preference, or has more tokens than the model has positions. */
  get(row: number): Promise<Pair>
  /** As `get`, short of what only its tokens can tell: a thirtieth of the time. */
  check(row: number): Promise<void>
}

/** Throws FormatError for a pair that is longer than the model has positions. */
export function expectFits({ row, prompt, chosen, rejected }: Pair, maxPositions: number): void {
  const length = prompt.length + Math.max(chosen.length, rejected.length)
  if (length > maxPositions)
    throw new FormatError(
      `${place(row)}: prompt and answer have ${length} tokens, the model has ${maxPositions} positions; set maxLength to at most ${maxPositions}`,
    )
}

export class Pairs implements PairSource {
  readonly #rows: Rows
  readonly #text: Text
  readonly #recipe: Cutting

  constructor(rows: Rows, text: Text, recipe: Cutting) {
    this.#rows = rows
    this.#text = text
    this.#recipe = recipe
  }

  get count(): number {
    return this.#rows.count
  }

  async get(row: number): Promise<Pair> {
    return tokenizePair(this.#text, await this.#preference(row), this.#recipe)
  }

  async check(row: number): Promise<void> {
    checkPair(this.#text, await this.#preference(row), this.#recipe)
  }

  async #preference(row: number): Promise<Preference> {
    return toPreference(await this.#rows.read(row), row)
  }
}
