/** What lm-evaluation-harness asks and computes (test/golden/evaluation.py), and the rows it was asked about. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { readRows } from '#gpu-runtime/data/rows.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { goldenFile } from '../golden.ts'
import { shared } from '../shared.ts'

/** Arguments of the harness. */
export type Style = {
  readonly num_fewshot?: number
  readonly seed?: number
  readonly system_instruction?: string
  readonly apply_chat_template?: boolean
  readonly fewshot_as_multiturn?: boolean
}

export type Asked = {
  /** Under shared/data; null for the golden's own passages. */
  readonly rows: string | null
  /** From which row to which they are the examples; null where the task takes none. */
  readonly examples: readonly [from: number, to: number | null] | 'rows' | null
  readonly documents: number
  /** Hashes by variant. */
  readonly requests: Readonly<Record<string, string>>
  readonly results: Readonly<Record<string, number>>
  /** By document and choice. */
  readonly logLikelihoods: number[][]
}

export const golden = JSON.parse(readFileSync(goldenFile('evaluation.json'), 'utf8')) as {
  readonly passages: string[]
  readonly variants: Readonly<Record<string, Style>>
  readonly tasks: Readonly<Record<string, Asked>>
  readonly truthfulqa_mc: number[][]
}

/** The golden's chat template. */
export const tagged = {
  render: (messages) =>
    `${messages.map(({ role, content }) => `<${role}>${content}</>`).join('')}<assistant>`,
} as Pick<Text, 'render'> as Text

/** Settings of a variant; those with a style were asked of the first 20 documents. */
export const styled = (style: Style) => ({
  fewShot: style.num_fewshot ?? 0,
  fewShotSeed: style.seed ?? 1234,
  chatTemplate: style.apply_chat_template ?? false,
  fewShotAsMultiturn: style.fewshot_as_multiturn ?? false,
  systemInstruction: style.system_instruction ?? null,
  limit: Object.keys(style).length === 0 ? null : 20,
})

const folder = await mkdtemp(join(tmpdir(), 'oddsmith-evaluation-'))
after(() => rm(folder, { recursive: true }))

async function written(name: string, rows: readonly unknown[]): Promise<string> {
  const file = join(folder, `${name}.jsonl`)
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

/** The file of a task's rows. */
export const rowsOf = async (name: string, { rows }: Asked): Promise<string> =>
  rows === null
    ? await written(
        name,
        golden.passages.map((text) => ({ text })),
      )
    : shared(`data/${rows}`)

/** The file of its examples: one of its own unless the rows themselves are meant. */
export async function examplesOf(
  name: string,
  { examples }: Pick<Asked, 'examples'>,
  rows: string,
): Promise<string | null> {
  if (examples === null) return null
  if (examples === 'rows') return rows
  const [from, to] = examples
  const all = (await Array.fromAsync(readRows(rows))).map(({ value }) => value)
  return written(`${name}.examples`, all.slice(from, to ?? undefined))
}
