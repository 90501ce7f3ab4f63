/** Words as NLTK 3.10 splits them: its refinement of the Penn Treebank's rules, sentence by sentence. */
import { boundary, regexSpace, regexWord, split, word } from '../python.ts'
import { sentences } from './sentences.ts'

const edge = boundary(word)
const clitics = `(?:re|ve|ll|m|t|s|d|n)${boundary(regexWord)}`
const two = (first: string, second: string, end = edge): RegExp =>
  new RegExp(`${edge}(${first})(${second})${end}`, 'giu')

/** In this order; each may see the spaces that those before it put in. */
const beforePadding: readonly (readonly [RegExp, string])[] = [
  [/[«“‘„]|`+/g, ' $& '],
  [/^"/, '``'],
  [/``/g, ' $& '],
  [/([ ([{<])(?:"|'')/g, '$1 `` '],
  [new RegExp(`(?<!${regexWord})'(?!${clitics})(?=${regexWord})`, 'giu'), '$& '],
  // The last full stop, with what closes the sentence behind it. The lookahead never gives back what it took.
  [new RegExp(`([^.])\\.(?=([\\])}>"'»”’ ]*))\\2${regexSpace}*$`, 'u'), '$1 . $2 '],
  [/([:,])(\P{Nd})/gu, ' $1 $2'],
  [/[:,]$/, ' $& '],
  [/\.{2,}/g, ' $& '],
  [/[;@#$%&]/g, ' $& '],
  [/[\u2012-\u2015]/g, ' $& '],
  [new RegExp(`([^.])\\.([\\])}>"']*)${regexSpace}*$`, 'u'), '$1 .$2 '],
  [/[?!]/g, ' $& '],
  [/([^'])' /g, "$1 ' "],
  [/\*/g, ' $& '],
  [/[\][(){}<>]/g, ' $& '],
  [/--/g, ' $& '],
]
const afterPadding: readonly (readonly [RegExp, string])[] = [
  [/[»”’]/g, ' $& '],
  [/''/g, ' $& '],
  [/"/g, " '' "],
  [new RegExp(`${regexSpace}+`, 'g'), ' '],
  [/([^' ])('[sSmMdD]|') /g, '$1 $2 '],
  [/([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /g, '$1 $2 '],
  ...[
    two('can', 'not'),
    two('d', "'ye"),
    two('gim', 'me'),
    two('gon', 'na'),
    two('got', 'ta'),
    two('lem', 'me'),
    two('more', "'n"),
    two('wan', 'na', `(?=${regexSpace})`),
    new RegExp(` ('t)(is)${edge}`, 'giu'),
    new RegExp(` ('t)(was)${edge}`, 'giu'),
  ].map((contraction) => [contraction, ' $1 $2 '] as const),
]

/** nltk.word_tokenize: words and marks; a word with hyphens is one. */
export const words = (text: string): string[] =>
  sentences(text).flatMap((sentence) => {
    const apply = (rules: typeof beforePadding, to: string) =>
      rules.reduce((now, [pattern, replacement]) => now.replace(pattern, replacement), to)
    return split(apply(afterPadding, ` ${apply(beforePadding, sentence)} `))
  })

const runs = new RegExp(`${regexWord}+`, 'gu')

/** How many runs of word characters a text has: nltk.RegexpTokenizer(r'\w+'). */
export const countWords = (text: string): number => text.match(runs)?.length ?? 0
