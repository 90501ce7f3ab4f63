/**
 * Language of a text as langdetect 1.0.9 finds it (a port of Nakatani Shuyo's language-detection):
 * naive Bayes over the n-grams, n = 1, 2, 3, of 55 languages' Wikipedias. IFEval's verdicts lean on
 * its weaknesses too: words in capitals have no features but their first letters.
 *
 * langdetect draws from an unseeded generator, so its answer to a text between two languages changes
 * from call to call. Here it is the one under `DetectorFactory.seed = 0`, a function of the text alone.
 */
import { pythonRandom } from '../pythonRandom.ts'
import { normalized, type Profiles } from './languageProfiles.ts'
import { isUpper } from '../python.ts'

/** langdetect reads so many code points of a text. */
const maxLength = 10_000
const longestGram = 3
const trials = 7
const alphaMean = 0.5
const alphaDeviation = 0.05
/** The scale of the smoothing: alpha is so many ten-thousandths of a probability. */
const baseFrequency = 10_000
const maxDraws = 1000
const converged = 0.99999
/** A language below it is not named. */
const leastProbability = 0.1

/**
 * The language code, such as `en` or `zh-cn`; 'unknown' when no language reaches a tenth; null when
 * the text has no n-gram of any language (digits only, or words in capitals of unknown letters).
 */
export function detectLanguage(text: string, profiles: Profiles): string | null {
  const grams = features(text, profiles)
  if (grams.length === 0) return null
  const { languages, starts, language } = profiles
  const random = pythonRandom(0)
  const total = new Float64Array(languages.length)
  for (let trial = 0; trial < trials; trial++) {
    const weight = (alphaMean + alphaDeviation * random.gauss()) / baseFrequency
    const probability = new Float64Array(languages.length).fill(1 / languages.length)
    for (let i = 0; ; i++) {
      const gram = grams[random.below(grams.length)]!
      // P(gram | language) = weight + p, up to the factor `weight` that is the same for all
      for (let k = starts[gram]!; k < starts[gram + 1]!; k++)
        probability[language[k]!]! *= 1 + profiles.probability[k]! / weight
      if (i % 5 === 0 && (normalize(probability) > converged || i >= maxDraws)) break
    }
    for (let i = 0; i < total.length; i++) total[i]! += probability[i]! / trials
  }
  let best = -1
  for (let i = 0; i < total.length; i++)
    if (total[i]! > leastProbability && (best === -1 || total[i]! > total[best]!)) best = i
  return best === -1 ? 'unknown' : languages[best]!
}

/** Divides by the sum; the largest that comes out. */
function normalize(p: Float64Array): number {
  const sum = p.reduce((a, b) => a + b, 0)
  let largest = 0
  for (let i = 0; i < p.length; i++) {
    p[i]! /= sum
    if (p[i]! > largest) largest = p[i]!
  }
  return largest
}

const url = /https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g
const mail = /[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g
const vietnamese = /[AEIOUYaeiouyÂÊÔâêôĂăƠơƯư][\u0300\u0301\u0303\u0309\u0323]/gu

/**
 * Each n-gram of the text that a profile knows, by its place, in order. Words of two capitals or more
 * add nothing after their first letter.
 */
function features(text: string, { grams, ideographs }: Profiles): number[] {
  const found: number[] = []
  /** The last three characters of the word that is being read. */
  let word: string[] = [' ']
  let capitals = false
  for (const raw of letters(text)) {
    const ch = normalized(raw, ideographs)
    const last = word.at(-1)!
    if (last === ' ') {
      word = [' ']
      capitals = false
    } else if (word.length >= longestGram) word = word.slice(1)
    if (last !== ' ' || ch !== ' ') {
      word.push(ch)
      capitals = isUpper(ch) && (capitals || isUpper(last))
    }
    if (capitals) continue
    for (let n = 1; n <= Math.min(longestGram, word.length); n++) {
      const gram = word.slice(-n).join('')
      const known = gram === ' ' ? undefined : grams.get(gram)
      if (known !== undefined) found.push(known)
    }
  }
  return found
}

/**
 * The text without addresses and runs of spaces, cut; without Latin letters too where others are more
 * than twice as many.
 */
function letters(text: string): string[] {
  const plain = text
    .replace(url, ' ')
    .replace(mail, ' ')
    .replace(vietnamese, (pair) => pair.normalize('NFC'))
  const kept: string[] = []
  let read = 0
  let previous = ''
  for (const ch of plain) {
    if (++read > maxLength) break
    if (ch !== ' ' || previous !== ' ') kept.push(ch)
    previous = ch
  }
  const latin = (ch: string) => ch >= 'A' && ch <= 'z'
  const other = (ch: string) => {
    const code = ch.codePointAt(0)!
    return code >= 0x300 && !(code >= 0x1e00 && code <= 0x1eff)
  }
  const outnumbered = kept.filter(latin).length * 2 < kept.filter(other).length
  return outnumbered ? kept.filter((ch) => !latin(ch)) : kept
}
