/**
 * Wikitext (Merity et al. 2016), as lm-evaluation-harness scores it: whole pages, with the spaces that
 * its tokenizer put in taken out. Words and bytes are counted on the page as it is.
 *
 *     ␠= Robert Boulter = ␠⏎ ␠⏎ … 1 @,@ 000 …    is scored as    ␠= Robert Boulter =⏎⏎ … 1,000 …
 */
import { countWords, strip } from '../python.ts'
import { columns } from './columns.ts'
import type { RollingDocument, RollingTask } from './task.ts'

type Page = RollingDocument & { readonly words: number; readonly bytes: number }

export const wikitext: RollingTask<Page> = {
  kind: 'loglikelihood_rolling',
  document(value, row) {
    const page = columns(value, row, 'wikitext').text('page')
    return { text: detokenized(page), words: countWords(page), bytes: Buffer.byteLength(page) }
  },
  judge: ({ words, bytes }, ll) => ({
    scores: { word_perplexity: ll, byte_perplexity: ll, bits_per_byte: ll },
    weights: { word_perplexity: words, byte_perplexity: bytes, bits_per_byte: bytes },
  }),
}

/** In this order: each rule works on what the ones before have left. */
function detokenized(page: string): string {
  const replace = (text: string, rules: readonly (readonly [string, string])[]) =>
    rules.reduce((done, [from, to]) => done.replaceAll(from, to), text)
  const plain = replace(page.replaceAll("s '", "s'").replaceAll(/\/' [0-9]\//g, "/'[0-9]/"), [
    [' @-@ ', '-'],
    [' @,@ ', ','],
    [' @.@ ', '.'],
    [' : ', ': '],
    [' ; ', '; '],
    [' . ', '. '],
    [' ! ', '! '],
    [' ? ', '? '],
    [' , ', ', '],
  ])
  const closed = ['()', '[]', '{}', '""', "''"].reduce(
    (text, [open, close]) => unpadded(text, open!, close!),
    plain,
  )
  return replace(closed, [
    ['= = = =', '===='],
    ['= = =', '==='],
    ['= =', '=='],
    [' ° ', '°'],
    [' \n', '\n'],
    ['\n ', '\n'],
    [' N ', ' 1 '],
    [" 's", "'s"],
  ])
}

/** What stands between `open` and the next `close`, without blanks around it. */
function unpadded(text: string, open: string, close: string): string {
  let out = ''
  for (let at = 0; ;) {
    const start = text.indexOf(open, at)
    const end = start === -1 ? -1 : text.indexOf(close, start + 1)
    if (end === -1) return out + text.slice(at)
    out += text.slice(at, start + 1) + strip(text.slice(start + 1, end)) + close
    at = end + 1
  }
}
