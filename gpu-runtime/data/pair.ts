/** A preference as token ids: one prompt, two answers, cut to the lengths of the recipe. */
import type { Recipe } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import { dialects } from './dialects.ts'
import type { Preference } from './preference.ts'
import { place } from './rows.ts'
import type { Ids } from './truncate.ts'

/** Token ids; chosen and rejected go on from the prompt. */
export type PairTokens = Ids & {
  /**
   * First tokens of chosen and rejected that are not answer but the side's own end of the prompt, which TRL's merge rule leaves
   * on one side only. Absent: none.
   */
  readonly lead?: { readonly chosen: number; readonly rejected: number }
  /** Tokens that did not fit. */
  readonly cut: { readonly prompt: number; readonly chosen: number; readonly rejected: number }
}

export type Pair = PairTokens & {
  /** 0-based. */
  readonly row: number
}

/** What of a recipe decides about tokens. */
export type Cutting = Pick<Recipe, 'dialect' | 'maxLength' | 'maxPromptLength'>

/** The tokens of a preference in a recipe's dialect. Throws FormatError naming the row where it gives no prompt or no answer. */
export function tokenizePair(text: Text, preference: Preference, recipe: Cutting): Pair {
  const { row } = preference
  return within(row, () => {
    const tokens = dialects[recipe.dialect].tokenize(text, preference, recipe)
    if (tokens.prompt.length === 0) throw new FormatError('the prompt has no tokens')
    return { row, ...tokens }
  })
}

/** What can be known without its tokens, in a thirtieth of the time. Throws FormatError naming the row, as `tokenizePair` would. */
export function checkPair(text: Text, preference: Preference, { dialect }: Cutting): void {
  within(preference.row, () => dialects[dialect].strings(text, preference))
}

function within<T>(row: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new FormatError(`${place(row)}: ${error.message}`, { cause: error })
  }
}

/** Tokens of a side's answer. */
export const answerLength = (pair: PairTokens, side: 'chosen' | 'rejected'): number =>
  pair[side].length - (pair.lead?.[side] ?? 0)
