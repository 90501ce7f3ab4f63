/** When a sample can only come out the same: then it is copied, not computed. */
import type { EvaluationSettings } from '#schema/spec.ts'
import { canonical, sha256 } from '../canonical.ts'

/** What answers, and how it is asked. */
export type Answering = {
  /** Hash over config, tokenizer, chat template and weights. */
  readonly modelRevision: string
  /**
   * Names and hashes of the adapter's files: its weights, its rank and scale, and the tokenizer where it brings one. Whose adapter it
   * is makes no difference. Null for the base model itself.
   */
  readonly adapter: readonly { readonly name: string; readonly sha256: string }[] | null
  readonly settings: Pick<EvaluationSettings, (typeof ingredients)[number]>
}

/**
 * The settings that change tokens or scores of a document whose requests are given. The others only say which documents are asked
 * (limit, rowsSha256) or are spelt out in the requests (examples, templates, instructions).
 */
const ingredients = [
  'task',
  'version',
  'dialect',
  'bos',
  'dtype',
  'custom',
] as const satisfies readonly (keyof EvaluationSettings)[]

/** Equal exactly when equal documents get equal samples. */
export function answersKey({ modelRevision, adapter, settings }: Answering): string {
  const asked = Object.fromEntries(ingredients.map((name) => [name, settings[name]]))
  const files = adapter?.map(({ name, sha256 }) => `${name} ${sha256}`).toSorted() ?? null
  return sha256(canonical({ modelRevision, files, asked }))
}

/**
 * A sample's key: `content` is the document's own hash, over its requests, its right answers and what people see of it
 * (schema/protocol.ts).
 */
export const sampleKey = (answers: string, content: string): string =>
  sha256(`${answers} ${content}`)
