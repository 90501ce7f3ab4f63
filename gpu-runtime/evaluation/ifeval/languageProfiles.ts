/**
 * The n-gram profiles of langdetect 1.0.9 (Apache-2.0): how often each n-gram stands in the Wikipedia
 * of each of 55 languages. languageProfiles.json.br was made by test/golden/languageProfiles.ts, which
 * leaves out n-grams that no text has once its characters are normalized.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'

export type Profiles = {
  readonly languages: readonly string[]
  /** By n-gram: language index and probability in turns, of the languages that have it. */
  readonly grams: ReadonlyMap<string, Float64Array>
  /** Chinese characters that behave alike, and the one that stands for them. */
  readonly ideographs: ReadonlyMap<string, string>
}

/** What languageProfiles.json.br holds. */
export type StoredProfiles = {
  readonly languages: readonly {
    readonly name: string
    /** How many n-grams of one, two and three characters were counted. */
    readonly totals: readonly number[]
    /** In an order, `|` between. */
    readonly grams: string
    /** How often each was seen. */
    readonly counts: readonly number[]
  }[]
  /** Each a string of characters, the first of which stands for all. */
  readonly ideographs: readonly string[]
}

let loaded: Profiles | undefined

/** Read once, in a third of a second that only prompts about languages or capitals pay. */
export function languageProfiles(): Profiles {
  loaded ??= unpack(
    JSON.parse(
      brotliDecompressSync(
        readFileSync(join(import.meta.dirname, 'languageProfiles.json.br')),
      ).toString(),
    ) as StoredProfiles,
  )
  return loaded
}

function unpack(stored: StoredProfiles): Profiles {
  const entries = new Map<string, number[]>()
  for (const [index, { totals, grams, counts }] of stored.languages.entries())
    for (const [i, gram] of grams.split('|').entries()) {
      let entry = entries.get(gram)
      if (entry === undefined) entries.set(gram, (entry = []))
      entry.push(index, counts[i]! / totals[[...gram].length - 1]!)
    }
  return {
    languages: stored.languages.map(({ name }) => name),
    grams: new Map([...entries].map(([gram, entry]) => [gram, Float64Array.from(entry)])),
    ideographs: ideographMap(stored.ideographs),
  }
}

export const ideographMap = (classes: readonly string[]): ReadonlyMap<string, string> =>
  new Map(classes.flatMap((alike) => [...alike].map((ch) => [ch, [...alike][0]!])))

/** Code points from, to, and what stands for all of them in the profiles. */
const ranges: readonly (readonly [from: number, to: number, representative: string])[] = [
  [0x1ea0, 0x1eff, '\u1ec3'], // Vietnamese letters
  [0x2000, 0x206f, ' '], // punctuation
  [0x3040, 0x309f, 'あ'],
  [0x30a0, 0x30ff, 'ア'],
  [0x3100, 0x312f, 'ㄅ'],
  [0x31a0, 0x31bf, 'ㄅ'],
  [0xac00, 0xd7af, '가'],
]

const single: Readonly<Record<string, string>> = {
  '\xa0': ' ',
  '«': ' ',
  '°': ' ',
  '»': ' ',
  ș: 'ş', // comma below, cedilla
  ț: 'ţ',
  '\u06cc': '\u064a', // Farsi and Arabic yeh
}

/** The character that stands for `ch` in the profiles; a space for what is no letter. */
export function normalized(ch: string, ideographs: ReadonlyMap<string, string>): string {
  const code = ch.codePointAt(0)!
  if (code < 0x80) return /[A-Za-z]/.test(ch) ? ch : ' '
  const range = ranges.find(([from, to]) => code >= from && code <= to)
  return range?.[2] ?? single[ch] ?? ideographs.get(ch) ?? ch
}
