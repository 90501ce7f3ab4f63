/**
 * Makes gpu-runtime/evaluation/ifeval/languageProfiles.json.br from the files of langdetect 1.0.9:
 *
 *     pip download --no-deps langdetect==1.0.9 && tar xf langdetect-1.0.9.tar.gz
 *     node test/golden/languageProfiles.ts langdetect-1.0.9/langdetect
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import {
  ideographMap,
  normalized,
  type StoredProfiles,
} from '#gpu-runtime/evaluation/ifeval/languageProfiles.ts'

const [directory] = process.argv.slice(2)
if (directory === undefined)
  throw new Error('expected the folder of langdetect with profiles and utils')

const ideographs = readFileSync(join(directory, 'utils/messages.properties'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('NGram.KANJI_'))
  .map((line) => JSON.parse(`"${line.slice(line.indexOf('=') + 1).trim()}"`) as string)

type Profile = { freq: Record<string, number>; n_words: number[]; name: string }
const map = ideographMap(ideographs)
const possible = (gram: string) => [...gram].every((ch) => normalized(ch, map) === ch)

const stored: StoredProfiles = {
  languages: readdirSync(join(directory, 'profiles'))
    .sort()
    .map((file) => {
      const profile = JSON.parse(readFileSync(join(directory, 'profiles', file), 'utf8')) as Profile
      const grams = Object.keys(profile.freq).filter(possible).sort()
      return {
        name: profile.name,
        totals: profile.n_words,
        grams: grams.join('|'),
        counts: grams.map((gram) => profile.freq[gram]!),
      }
    }),
  ideographs,
}
const file = resolve(
  import.meta.dirname,
  '../../gpu-runtime/evaluation/ifeval/languageProfiles.json.br',
)
writeFileSync(
  file,
  brotliCompressSync(Buffer.from(JSON.stringify(stored)), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
  }),
)
