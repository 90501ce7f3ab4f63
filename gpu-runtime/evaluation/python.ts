/**
 * Python's notions of text, where JavaScript's differ: the reference judges in Python, and verdicts
 * hang on which characters are space, part of a word, or upper case.
 */

/** What str.isspace, str.strip and `\s` of the module re take for space: U+001C–U+001F too, U+FEFF not. */
export const space =
  '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'

/** `\s` of the module regex, which NLTK reads patterns with: re's without U+001C–U+001F. */
export const regexSpace =
  '[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'

/** `\w` of the module re: no combining marks, so the vowel signs of Hindi end a word. */
export const word = '[\\p{L}\\p{N}_]'

/** `\w` of the module regex, by Unicode's technical standard 18: marks and joiners are part of a word. */
export const regexWord = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d]'

/** `\b` between characters of a class. */
export const boundary = (ofWord: string): string =>
  `(?:(?<!${ofWord})(?=${ofWord})|(?<=${ofWord})(?!${ofWord}))`

const spaces = new RegExp(space)
const runOfSpaces = new RegExp(`${space}+`)

/** str.lstrip() */
const stripStart = (text: string): string => {
  let from = 0
  while (from < text.length && spaces.test(text[from]!)) from++
  return text.slice(from)
}

/** str.rstrip() */
export function stripEnd(text: string): string {
  let to = text.length
  while (to > 0 && spaces.test(text[to - 1]!)) to--
  return text.slice(0, to)
}

/** str.strip() */
export const strip = (text: string): string => stripStart(stripEnd(text))

/** str.split(): without empty parts. */
export const split = (text: string): string[] =>
  text.split(runOfSpaces).filter((part) => part !== '')

/** len(re.split(r"\s+", text)): space at either end divides off one more. */
export const countWords = (text: string): number => text.split(runOfSpaces).length

/** str.capitalize() for a first letter whose title case is its upper case, as it is in all but a few ligatures. */
export function capitalize(text: string): string {
  const [first = ''] = text
  return first.toUpperCase() + text.slice(first.length).toLowerCase()
}

/** str.strip(character) */
export function stripOf(text: string, character: string): string {
  let from = 0
  let to = text.length
  while (from < to && text[from] === character) from++
  while (to > from && text[to - 1] === character) to--
  return text.slice(from, to)
}

/** str.isupper(): a letter in upper case, and none in lower or title case. */
export const isUpper = (text: string): boolean =>
  /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text)

/** str.islower() */
export const isLower = (text: string): boolean =>
  /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text)
