/**
 * Makes gpu-runtime/evaluation/ifeval/punktEnglish.json.br from NLTK's data package punkt_tab:
 *
 *     node test/golden/punktEnglish.ts nltk_data/tokenizers/punkt_tab/english
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import type { StoredModel } from '#gpu-runtime/evaluation/ifeval/sentences.ts'

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('expected the folder with abbrev_types.txt')

const lines = (file: string): string[] =>
  readFileSync(join(directory, file), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
const contexts = Object.groupBy(
  lines('ortho_context.tab').map((line) => line.split('\t') as [string, string]),
  ([, flags]) => flags,
)
const stored: StoredModel = {
  abbreviations: lines('abbrev_types.txt'),
  collocations: lines('collocations.tab'),
  sentenceStarters: lines('sent_starters.txt'),
  contexts: Object.fromEntries(
    Object.entries(contexts).map(([flags, entries]) => [
      flags,
      entries!.map(([type]) => type).sort(),
    ]),
  ),
}
writeFileSync(
  resolve(import.meta.dirname, '../../gpu-runtime/evaluation/ifeval/punktEnglish.json.br'),
  brotliCompressSync(Buffer.from(JSON.stringify(stored))),
)
