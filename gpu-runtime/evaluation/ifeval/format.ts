/** detectable_format and detectable_content: what Markdown, JSON or brackets show. */
import { count, instruction } from './instruction.ts'
import { keyword, source } from './pattern.ts'
import { space, strip, stripOf } from '../python.ts'

const firstCharacter = new RegExp(`^${space}*(.?)(.?)`, 'su')

/** Exactly so many lines that begin with `*` and something else, or with `-`. */
export const numberBulletLists = instruction(
  { num_bullets: count },
  ({ num_bullets }) =>
    (response) => {
      const lines = response.split('\n')
      let found = 0
      for (let i = 0; i < lines.length; i++) {
        const [, first, second] = firstCharacter.exec(lines[i]!)!
        if (first !== '*' || second === '*') continue
        // A line with the asterisk alone is one bullet with the line below.
        if (second === '' && ++i === lines.length) break
        found++
      }
      for (const line of lines) if (firstCharacter.exec(line)![1] === '-') found++
      return found === num_bullets
    },
)

/** `*…*` in a line; `**…**` counts once more. */
export const numberHighlightedSections = instruction(
  { num_highlights: count },
  ({ num_highlights }) =>
    (response) => {
      const single = response.match(/\*[^\n*]*\*/g) ?? []
      const double = response.match(/\*\*[^\n*]*\*\*/g) ?? []
      const filled = [
        ...single.filter((part) => strip(stripOf(part, '*')) !== ''),
        ...double.filter((part) => strip(part.slice(2, -2)) !== ''),
      ]
      return filled.length >= num_highlights
    },
)

/** At least so many of `SECTION 1` and the like, whatever the numbers. */
export const multipleSections = instruction(
  { section_spliter: keyword.transform(strip), num_sections: count },
  ({ section_spliter, num_sections }) => {
    const heading = new RegExp(
      `${space}?${source(section_spliter)}${space}?\\p{Nd}+${space}?`,
      'gu',
    )
    return (response) => (response.match(heading)?.length ?? 0) >= num_sections
  },
)

/** A title in double angle brackets that is more than brackets and space. */
export const title = instruction(
  {},
  () => (response) =>
    response.split('\n').some((line) => {
      const from = line.indexOf('<<')
      const to = line.lastIndexOf('>>') + 2
      return (
        from !== -1 &&
        to - from > 4 &&
        strip(line.slice(from, to).replace(/^<+/, '').replace(/>+$/, '')) !== ''
      )
    }),
)

const fences = ['```json', '```Json', '```JSON', '```']

/** All of it JSON, in a fence or not. Python reads NaN and the infinities too. */
export const jsonFormat = instruction({}, () => (response) => {
  let text = strip(response)
  for (const fence of fences) if (text.startsWith(fence)) text = text.slice(fence.length)
  if (text.endsWith('```')) text = text.slice(0, -3)
  const standard = strip(text).replace(/"(?:[^"\\]|\\.)*(?:"|$)|-?Infinity|NaN/gs, (part) =>
    part.startsWith('"') ? part : ' 0 ',
  )
  try {
    JSON.parse(standard)
    return true
  } catch {
    return false // no JSON: that is the verdict
  }
})

const options = ['My answer is yes.', 'My answer is no.', 'My answer is maybe.']

export const constrainedResponse = instruction(
  {},
  () => (response) => options.some((option) => response.includes(option)),
)

/** At least so many `[…]`, each in a line. */
export const numberPlaceholders = instruction(
  { num_placeholders: count },
  ({ num_placeholders }) =>
    (response) => {
      let found = 0
      for (const line of response.split('\n')) {
        let open = line.indexOf('[')
        while (open !== -1) {
          const close = line.indexOf(']', open)
          if (close === -1) break
          found++
          open = line.indexOf('[', close)
        }
      }
      return found >= num_placeholders
    },
)

/** Markers that may have a space between their letters. */
const spaced: Readonly<Record<string, string>> = {
  'P.S.': `p\\.${space}?s\\.`,
  'P.P.S': `p\\.${space}?p\\.${space}?s`,
}

/** The marker anywhere, whatever its case. */
export const postscript = instruction(
  { postscript_marker: keyword.transform(strip) },
  ({ postscript_marker }) => {
    const pattern = new RegExp(
      spaced[postscript_marker] ?? source(postscript_marker.toLowerCase()),
      'u',
    )
    return (response) => pattern.test(response.toLowerCase())
  },
)
