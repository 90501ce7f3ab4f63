/** length_constraints: words, sentences, paragraphs. */
import { z } from 'zod'
import { count, holds, instruction, relation } from './instruction.ts'
import { space, split, strip } from '../python.ts'
import { sentences } from './sentences.ts'
import { countWords } from './words.ts'

export const numberWords = instruction(
  { num_words: count, relation },
  ({ num_words, relation: than }) =>
    (response) =>
      holds(countWords(response), than, num_words),
)

export const numberSentences = instruction(
  { num_sentences: count, relation },
  ({ num_sentences, relation: than }) =>
    (response) =>
      holds(sentences(response).length, than, num_sentences),
)

const divider = new RegExp(`${space}?\\*\\*\\*${space}?`)

/** Exactly so many with `***` between; only the first and the last part may be empty, and do not count then. */
export const numberParagraphs = instruction(
  { num_paragraphs: count },
  ({ num_paragraphs }) =>
    (response) => {
      const empty = response.split(divider).map((part) => strip(part) === '')
      const inner = empty.slice(1, -1)
      return !inner.includes(true) && empty.filter((each) => !each).length === num_paragraphs
    },
)

/** Exactly so many with an empty line between, the nth of all parts beginning with a word. */
export const nthParagraphFirstWord = instruction(
  {
    num_paragraphs: count,
    nth_paragraph: count,
    first_word: z.string().min(1).max(200),
  },
  ({ num_paragraphs, nth_paragraph, first_word }) => {
    if (nth_paragraph > num_paragraphs)
      throw new z.ZodError([
        {
          code: 'custom',
          path: ['nth_paragraph'],
          message: `expected at most num_paragraphs, ${num_paragraphs}, got ${nth_paragraph}`,
          input: nth_paragraph,
        },
      ])
    const expected = first_word.toLowerCase()
    return (response) => {
      const parts = response.split('\n\n').map(strip)
      // Empty parts are not counted as paragraphs, but they are when the nth is looked up.
      if (parts.filter((part) => part !== '').length !== num_paragraphs) return false
      return firstWord(parts[nth_paragraph - 1]!) === expected
    }
  },
)

/** In lower case, without quotes before it and what follows a mark inside it; null of an empty text. */
function firstWord(text: string): string | null {
  const [first] = split(text)
  if (first === undefined) return null
  const [bare] = /^[^.,?!'"]*/.exec(first.replace(/^'*"*/, ''))!
  return [...bare].map((ch) => ch.toLowerCase()).join('')
}
