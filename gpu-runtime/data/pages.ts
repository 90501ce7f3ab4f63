/**
 * Wikitext in its original layout as rows { page }, divided as lm-evaluation-harness'
 * wikitext_document_level does it: a page begins at each heading of the first level.
 *
 *     ␠= Robert Boulter = ␠      a page
 *     ␠= = Career = = ␠          a section of it
 */
import { FormatError } from '../error.ts'
import { maxRowBytes, place, type Row } from './place.ts'
import type { Source } from './source.ts'

/**
 * Lines keep their blanks and are joined by \n; text before the first heading is a page unless it
 * is blank, and a file without headings is one page. Throws FormatError with the row at what is not
 * UTF-8 and at a page that is too large to hold.
 */
export async function* readPages({ path, chunks }: Source): AsyncGenerator<Row> {
  let row = 0
  let held: string[] = []
  let size = 0
  for await (const line of linesOf(chunks(), path, () => row)) {
    if (isHeading(line)) {
      const page = held.join('\n')
      if (page.trim() !== '') yield { row: row++, value: { page } }
      held = []
      size = 0
    }
    held.push(line)
    size += line.length + 1
    if (size > maxRowBytes)
      throw new FormatError(`${path}: ${place(row)}: a page of more than ${maxRowBytes} characters`)
  }
  const page = held.join('\n')
  if (page.trim() !== '') yield { row, value: { page } }
}

/** Deeper levels are written with more signs, blanks between them. */
function isHeading(line: string): boolean {
  const joined = line.replaceAll('= = =', '===').replaceAll('= =', '==').trim()
  return joined.startsWith('= ') && joined.endsWith(' =')
}

/** What line breaks of any kind divide; after the last one there is one more line, though empty. */
async function* linesOf(chunks: AsyncIterable<Buffer>, path: string, row: () => number) {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (chunk?: Buffer) => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (cause) {
      throw new FormatError(`${path}: not UTF-8 in or soon after ${place(row())}`, { cause })
    }
  }
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decode(chunk)).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()!
    if (rest.length > maxRowBytes)
      throw new FormatError(
        `${path}: ${place(row())}: a line of more than ${maxRowBytes} characters`,
      )
    yield* lines
  }
  yield* (rest + decode()).split('\r')
}
