/** Texts as Python's str sees them, where JavaScript's String differs. */

/** What str.isspace() and \s of re take for white space: U+001C to U+001F and U+0085 are, U+FEFF is not. */
const space =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const blank = new RegExp(space)
const blanks = new RegExp(`${space}+`)

/** str.strip(). */
export function strip(text: string): string {
  let start = 0
  while (start < text.length && blank.test(text[start]!)) start++
  return rstrip(text.slice(start))
}

/** str.rstrip(). */
export function rstrip(text: string): string {
  let end = text.length
  while (end > 0 && blank.test(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** len(re.split(r"\s+", text)): blanks at either end divide off one more. */
export const countWords = (text: string): number => text.split(blanks).length

/** str.capitalize(): the rest becomes small. Of the first letter's titlecase forms, those of one character. */
export function capitalize(text: string): string {
  const [first = ''] = text
  return first.toUpperCase() + text.slice(first.length).toLowerCase()
}
