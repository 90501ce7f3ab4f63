/**
 * Sentences as NLTK 3.10 finds them: Punkt (Kiss and Strunk 2006, "Unsupervised Multilingual Sentence
 * Boundary Detection", Computational Linguistics 32) with its English model. Section numbers are the
 * paper's.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { isLower, isUpper, regexSpace, regexWord, strip, stripEnd } from '../python.ts'

/** What punktEnglish.json.br holds: NLTK's punkt_tab/english, packed by test/golden/punktEnglish.ts. */
export type StoredModel = {
  readonly abbreviations: readonly string[]
  /** Pairs of types, a tab between, that a full stop does not part. */
  readonly collocations: readonly string[]
  readonly sentenceStarters: readonly string[]
  /** Types by the contexts that they were seen in, a set of `seen`. */
  readonly contexts: Readonly<Record<string, readonly string[]>>
}

/** How a word was seen in the texts that the model was trained on. */
const seen = {
  upper: 2 | 4 | 8,
  upperInside: 4,
  lower: 16 | 32 | 64,
  lowerAtStart: 16,
} as const

type Model = {
  readonly abbreviations: ReadonlySet<string>
  readonly collocations: ReadonlySet<string>
  readonly sentenceStarters: ReadonlySet<string>
  readonly contexts: ReadonlyMap<string, number>
}

let loaded: Model | undefined

function model(): Model {
  if (loaded === undefined) {
    const stored = JSON.parse(
      brotliDecompressSync(
        readFileSync(join(import.meta.dirname, 'punktEnglish.json.br')),
      ).toString(),
    ) as StoredModel
    loaded = {
      abbreviations: new Set(stored.abbreviations),
      collocations: new Set(stored.collocations),
      sentenceStarters: new Set(stored.sentenceStarters),
      contexts: new Map(
        Object.entries(stored.contexts).flatMap(([flags, types]) =>
          types.map((type) => [type, Number(flags)] as const),
        ),
      ),
    }
  }
  return loaded
}

const closing = `"')\\]}‘’“”«»`
const notInWord = `[)";}\\]*:@'({[‘’“”«»?!]`
const dashesOrDots = `(?:-{2,}|\\.{2,}|(?:\\.${regexSpace}){2,}\\.)`
const notSpace = `[^${regexSpace.slice(1)}`

/** A mark that may end a sentence; [1] what stands behind it, [2] of it the next word, if a space parts them. */
const candidate = new RegExp(`[.?!](?=(${notInWord}|${regexSpace}+(${notSpace}+)))`, 'gu')
const token = new RegExp(
  `${dashesOrDots}|(?=[^("\`{[:;&#*@)}\\]\\-,])${notSpace}+?` +
    `(?=${regexSpace}|$|${notInWord}|${dashesOrDots}|,(?=$|${regexSpace}|${notInWord}|${dashesOrDots}))|${notSpace}`,
  'gu',
)
/** Closing marks at the start of a sentence belong to the one before. */
const closingAtStart = new RegExp(`^[${closing}]+?(?:${regexSpace}+|(?=--)|(?=\\n|$))`, 'u')
const number = /^-?[.,]?\p{Nd}[\p{Nd},.-]*\.?$/u
const initial = new RegExp(`^(?!\\p{Nd})${regexWord}\\.$`, 'u')
const ellipsis = /^\.\.+$/

type Span = readonly [from: number, to: number]

/** The sentences of a text, without the space between them. */
export const sentences = (text: string): string[] =>
  realigned(text, parts(text)).map(([from, to]) => text.slice(from, to))

function parts(text: string): Span[] {
  const found: Span[] = []
  let from = 0
  for (const { end, next, context } of candidates(text))
    if (hasBreak(context)) {
      found.push([from, end])
      from = next
    }
  found.push([from, stripEnd(text).length])
  return found
}

type Candidate = {
  readonly end: number
  /** Where the next sentence would begin. */
  readonly next: number
  /** The word with the mark, and what follows it. */
  readonly context: string
}

/** The last mark of each word that has one. */
function* candidates(text: string): Generator<Candidate> {
  let last: (Candidate & { readonly index: number }) | undefined
  let from = 0
  let to = 0
  for (const match of text.matchAll(candidate)) {
    // A space at the very beginning of the stretch does not count, as in NLTK.
    const gap = lastSpace(text, to, match.index)
    const start = gap > to ? gap + 1 : from
    if (last !== undefined && to <= start) yield last
    const end = match.index + 1
    from = start
    to = match.index
    last = {
      index: match.index,
      end,
      next: match[2] === undefined ? end : end + match[1]!.length - match[2].length,
      context: text.slice(start, end) + match[1]!,
    }
  }
  if (last !== undefined) yield last
}

/** Index of the last ASCII space in text[from, to), or −1. */
function lastSpace(text: string, from: number, to: number): number {
  for (let i = to - 1; i >= from; i--) if (/[\t-\r ]/.test(text[i]!)) return i
  return -1
}

function realigned(text: string, spans: readonly Span[]): Span[] {
  const found: Span[] = []
  let moved = 0
  for (const [i, [start, end]] of spans.entries()) {
    const from = start + moved
    const next = spans[i + 1]
    const closers = next && closingAtStart.exec(text.slice(next[0], next[1]))
    if (next && closers) {
      found.push([from, next[0] + stripEnd(closers[0]).length])
      moved = closers[0].length
    } else {
      moved = 0
      if (from < end) found.push([from, end])
    }
  }
  return found
}

type Token = {
  readonly text: string
  /** Lower case, numbers all alike. */
  readonly type: string
  abbreviation: boolean
  isBreak: boolean
}

/** Does a sentence end before the last token of a context? */
function hasBreak(context: string): boolean {
  const tokens = context
    .split('\n')
    .filter((line) => strip(line) !== '')
    .flatMap((line) => line.match(token) ?? [])
    .map(firstPass)
  return tokens.some((each, i) => {
    const next = tokens[i + 1]
    return next !== undefined && breaks(each, next)
  })
}

/** Section 3: by the type of a token alone. */
function firstPass(text: string): Token {
  const type = text.toLowerCase().replace(number, '##number##')
  const plain = { text, type, abbreviation: false, isBreak: false }
  if (text === '.' || text === '?' || text === '!') return { ...plain, isBreak: true }
  if (!text.endsWith('.') || text.endsWith('..')) return plain
  const stem = text.slice(0, -1).toLowerCase()
  const known = model().abbreviations
  const abbreviation = known.has(stem) || known.has(stem.slice(stem.lastIndexOf('-') + 1))
  return { ...plain, abbreviation, isBreak: !abbreviation }
}

const withoutStop = (type: string): string =>
  type.length > 1 && type.endsWith('.') ? type.slice(0, -1) : type

/** Section 4: by the token that follows. */
function breaks(token: Token, next: Token): boolean {
  if (!token.text.endsWith('.')) return token.isBreak
  const { collocations, sentenceStarters, contexts } = model()
  const type = withoutStop(token.type)
  const nextType = next.isBreak ? withoutStop(next.type) : next.type
  if (collocations.has(`${type}\t${nextType}`)) return false
  const isInitial = initial.test(token.text)
  const upper = isUpper([...next.text][0]!)
  const starts = startsSentence(next, nextType)
  if ((token.abbreviation || ellipsis.test(token.text)) && !isInitial) {
    if (starts === true) return true
    if (upper && sentenceStarters.has(nextType)) return true
  }
  if (isInitial || type === '##number##') {
    if (starts === false) return false
    const seenLower = ((contexts.get(nextType) ?? 0) & seen.lower) !== 0
    if (starts === null && isInitial && upper && !seenLower) return false
  }
  return token.isBreak
}

/** Section 4.1.1, the orthographic heuristic; null when it cannot say. */
function startsSentence({ text }: Token, type: string): boolean | null {
  if (/^[;:,.!?]$/.test(text)) return false
  const context = model().contexts.get(type) ?? 0
  const first = [...text][0]!
  if (isUpper(first) && (context & seen.lower) !== 0 && (context & seen.upperInside) === 0)
    return true
  if (isLower(first) && ((context & seen.upper) !== 0 || (context & seen.lowerAtStart) === 0))
    return false
  return null
}
