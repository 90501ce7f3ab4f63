/** Rows to documents, documents to requests, requests to tokens. */
import { isDeepStrictEqual } from 'node:util'
import type { EvaluationSettings } from '#schema/spec.ts'
import { place, readRows } from '../data/rows.ts'
import { FormatError } from '../error.ts'
import type { ScoreRequest } from '../inference/score.ts'
import type { Text } from '../text/text.ts'
import { chooseExamples, contextOf, delimiterOf, exampleOf, type Example } from './prompt.ts'
import { pythonRandom } from './pythonRandom.ts'
import {
  contentHash,
  promptHash,
  requestsHash,
  tokenizePairs,
  tokenizePrompt,
  tokenizeRolling,
  type Pair,
  type Requests,
} from './requests.ts'
import { customTask } from './tasks/custom.ts'
import { findTask } from './tasks/table.ts'
import type { ChoiceDocument, GenerationDocument, RollingDocument, Task } from './tasks/task.ts'

export type PreparedDocument = {
  /** 0-based row in the task's file. */
  readonly index: number
  readonly hash: string
  /** sha256 of the document and its requests: all that is its own in what becomes of a model's answer. */
  readonly content: string
  readonly document: ChoiceDocument | GenerationDocument | RollingDocument
  readonly requests: Requests
  /** What is scored; its choices, laid end to end, are the document's. Empty where a response is written. */
  readonly scored: readonly ScoreRequest[]
  /** What is read before a response is written; null where nothing is written. */
  readonly prompt: readonly number[] | null
}

export type Prepared = {
  readonly settings: EvaluationSettings
  readonly task: Task
  readonly promptHash: string
  readonly documents: readonly PreparedDocument[]
}

export type Sources = {
  readonly rows: string
  /** Null where no examples are asked for. */
  readonly examples: string | null
}

/** What of a model its requests depend on. */
export type Asker = { readonly text: Text; readonly maxPositions: number }

/**
 * Read a task's rows (the first `limit` in the dialect's order) and make its requests. Throws
 * FormatError naming the row.
 */
export async function prepareTask(
  settings: EvaluationSettings,
  sources: Sources,
  asker: Asker,
  signal: AbortSignal,
): Promise<Prepared> {
  const { task: name, dialect, custom } = settings
  const task = custom === undefined ? findTask(name, dialect) : customTask(name, custom)
  const documents: PreparedDocument[] = []
  for (const { index, requests, document } of await documentsOf(
    task,
    settings,
    sources,
    asker.text,
    signal,
  )) {
    signal.throwIfAborted()
    const hash = requestsHash([requests])
    const content = contentHash(document, requests)
    const asked = tokenize(requests, settings, asker)
    documents.push({ index, hash, content, document, requests, ...asked })
  }
  return { settings, task, promptHash: promptHash(documents.map((d) => d.hash)), documents }
}

/** A document and what it asks, as texts. */
export type Rendered = Pick<PreparedDocument, 'index' | 'document' | 'requests'>

/** Rows as what they ask of any model, in the order in which they are asked. Throws FormatError naming the row. */
export async function documentsOf(
  task: Task,
  settings: EvaluationSettings,
  { rows, examples }: Sources,
  text: Text,
  signal: AbortSignal,
): Promise<Rendered[]> {
  const { fewShot } = settings
  expectAskable(task, settings)
  const same = examples === rows
  const whole = orderMatters(settings) || (same && fewShot > 0)
  const all = await readDocuments(task, rows, text, signal, whole ? null : settings.limit)
  if (all.length === 0)
    throw new FormatError(`${rows}: no rows, expected documents of ${settings.task}`)
  // 0.3.0 draws its examples from the generator that has shuffled the documents.
  const random = pythonRandom(orderMatters(settings) ? 42 : settings.fewShotSeed)
  const ordered = orderMatters(settings) ? random.shuffled(all) : all
  const asked = ordered.slice(0, settings.limit ?? undefined)
  if (task.kind === 'loglikelihood_rolling')
    return asked.map(({ index, document }) => ({
      index,
      document,
      requests: { kind: 'rolling', text: (document as RollingDocument).text },
    }))
  if (fewShot > 0 && examples === null)
    throw new FormatError(
      `${settings.task}: ${fewShot} examples were asked for, and there is no file of them`,
    )
  const pool =
    fewShot === 0 ? [] : same ? all : await readDocuments(task, examples!, text, signal, null)
  const leavesOut = task.leavesOutItself ?? same
  return asked.map(({ index, document, value }) => {
    const chosen = chooseExamples(
      pool,
      fewShot,
      task.choose ?? 'RANDOM',
      random,
      leavesOut ? (example) => isDeepStrictEqual(example.value, value) : null,
    ).map((example) => exampleOf(example.document as ChoiceDocument | GenerationDocument))
    return { index, document, requests: requestsOf(task, document, chosen, settings, text) }
  })
}

type Read = {
  readonly index: number
  readonly value: unknown
  readonly document: PreparedDocument['document']
}

async function readDocuments(
  task: Task,
  file: string,
  text: Text,
  signal: AbortSignal,
  limit: number | null,
): Promise<Read[]> {
  const documents: Read[] = []
  for await (const { row, value } of readRows(file)) {
    if (limit !== null && documents.length >= limit) break
    signal.throwIfAborted()
    documents.push({ index: row, value, document: task.document(value, row, text) })
  }
  return documents
}

/** lm-evaluation-harness 0.3.0 shuffles before it takes the first ones; today's keeps the file's order. */
const orderMatters = ({ dialect }: EvaluationSettings): boolean => dialect === 'NOUS'

function expectAskable(
  task: Task,
  { task: name, fewShot, chatTemplate }: EvaluationSettings,
): void {
  const whole = task.kind === 'loglikelihood_rolling'
  if (whole && fewShot > 0)
    throw new FormatError(`${name}: fewShot ${fewShot}, expected 0: whole texts are scored`)
  if (whole && chatTemplate)
    throw new FormatError(`${name}: a chat template, expected none: whole texts are scored`)
  if (!whole && task.zeroShot && fewShot > 0)
    throw new FormatError(`${name}: fewShot ${fewShot}, expected 0: it has no solved examples`)
  if (!whole && task.rendered && (fewShot > 0 || chatTemplate))
    throw new FormatError(
      `${name}: expected neither examples nor a chat template: its questions are in the model's chat format already`,
    )
}

/** What a document asks after its examples, as texts. */
export function requestsOf(
  task: Exclude<Task, { kind: 'loglikelihood_rolling' }>,
  document: PreparedDocument['document'],
  examples: readonly Example[],
  settings: EvaluationSettings,
  text: Text,
): Requests {
  const context = (question: string) => contextOf(task, question, examples, settings, text)
  if (task.kind === 'generate_until') {
    const { until, maxTokens } = task
    return { kind: 'generate', context: context(document.text as string), until, maxTokens }
  }
  const { text: questions, choices } = document as ChoiceDocument
  const delimiter = delimiterOf(task, settings)
  const contexts = typeof questions === 'string' ? context(questions) : questions.map(context)
  const pairs = choices.map((choice, i): Pair => [
    typeof contexts === 'string' ? contexts : contexts[i]!,
    delimiter + choice,
  ])
  return { kind: 'pairs', pairs }
}

function tokenize(
  requests: Requests,
  { bos }: EvaluationSettings,
  { text, maxPositions }: Asker,
): Pick<PreparedDocument, 'scored' | 'prompt'> {
  const fit = { maxPositions, bos }
  switch (requests.kind) {
    case 'pairs':
      return { scored: tokenizePairs(text, requests.pairs, fit), prompt: null }
    case 'rolling':
      return { scored: tokenizeRolling(text, requests.text, fit), prompt: null }
    case 'generate':
      return {
        scored: [],
        prompt: tokenizePrompt(text, requests.context, requests.maxTokens, fit),
      }
  }
}

/** How messages name a document. */
export const nameOf = ({ settings }: Pick<Prepared, 'settings'>, { index }: { index: number }) =>
  `${settings.task}: ${place(index)}`
