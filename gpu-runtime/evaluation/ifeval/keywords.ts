/** keywords: words and letters that must or must not be there. */
import { z } from 'zod'
import { count, holds, instruction, relation } from './instruction.ts'
import { anyCase, keyword } from './pattern.ts'
import { boundary, strip, word } from '../python.ts'

const edge = boundary(word)
const list = z.array(keyword).min(1).max(1000)

/** All of them, inside other words too, whatever their case. */
export const existence = instruction({ keywords: list }, ({ keywords }) => {
  const patterns = keywords.map((each) => new RegExp(anyCase(each), 'iu'))
  return (response) => patterns.every((pattern) => pattern.test(response))
})

export const frequency = instruction(
  { keyword: keyword.transform(strip), frequency: count, relation },
  ({ keyword: sought, frequency: asked, relation: than }) => {
    const pattern = new RegExp(anyCase(sought), 'giu')
    return (response) => holds(response.match(pattern)?.length ?? 0, than, asked)
  },
)

/** None of them as a word of its own. */
export const forbiddenWords = instruction({ forbidden_words: list }, ({ forbidden_words }) => {
  const patterns = forbidden_words.map((each) => new RegExp(edge + anyCase(each) + edge, 'iu'))
  return (response) => !patterns.some((pattern) => pattern.test(response))
})

/**
 * How often a character stands in the text, case aside. For one that is no Latin letter (`#` and `!` in
 * two of the 541 prompts) the reference takes a random letter, so its verdicts there mean nothing;
 * here the character itself is counted, as the prompt asks.
 */
export const letterFrequency = instruction(
  {
    letter: z
      .string()
      .refine((text) => [...text].length === 1, 'expected one character')
      .transform((text) => text.toLowerCase()),
    let_frequency: count,
    let_relation: relation,
  },
  ({ letter, let_frequency, let_relation }) =>
    (response) =>
      holds(response.toLowerCase().split(letter).length - 1, let_relation, let_frequency),
)
