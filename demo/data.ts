/** Writes the demo's preference rows and benchmark; `node demo/data.ts` gives the committed files byte for byte. */
import { writeFileSync } from 'node:fs'

import { benchmarkRows, preferenceRows } from './language.ts'

const jsonLines = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** The demo's data files by name. */
export const dataFiles = {
  'preferences.jsonl': () => jsonLines(preferenceRows()),
  'benchmark.jsonl': () => jsonLines(benchmarkRows()),
}

if (import.meta.main) {
  for (const [name, content] of Object.entries(dataFiles)) {
    writeFileSync(new URL(name, import.meta.url), content())
  }
}
