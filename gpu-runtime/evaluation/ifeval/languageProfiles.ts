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
  /** The place of each n-gram in `starts`. */
  readonly grams: ReadonlyMap<string, number>
  /** Gram g's languages and their probabilities are at starts[g] to starts[g + 1] of the two lists. */
  readonly starts: Uint32Array
  readonly language: Uint8Array
  readonly probability: Float64Array
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

/** Read once, 6 MB in a third of a second that only prompts about languages or capitals pay. */
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
  const profiles = stored.languages.map(({ grams, ...rest }) => ({
    ...rest,
    grams: grams.split('|'),
  }))
  const grams = new Map<string, number>()
  const counted: number[] = []
  for (const profile of profiles)
    for (const gram of profile.grams) {
      const place = grams.get(gram) ?? grams.size
      grams.set(gram, place)
      counted[place] = (counted[place] ?? 0) + 1
    }
  const starts = new Uint32Array(grams.size + 1)
  for (const [g, n] of counted.entries()) starts[g + 1] = starts[g]! + n
  const free = starts.slice()
  const language = new Uint8Array(starts.at(-1)!)
  const probability = new Float64Array(language.length)
  for (const [index, { totals, grams: names, counts }] of profiles.entries())
    for (const [i, gram] of names.entries()) {
      const at = free[grams.get(gram)!]!++
      language[at] = index
      probability[at] = counts[i]! / totals[[...gram].length - 1]!
    }
  return {
    languages: stored.languages.map(({ name }) => name),
    grams,
    starts,
    language,
    probability,
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
