/** Evaluation of one subject on one task: rows to documents, documents to requests, log-likelihoods to per-sample scores. */
import type { Choice, Sample } from '#schema/protocol.ts'
import { tasks, type TaskName } from '#schema/tasks.ts'
import { place, readRows } from '../data/rows.ts'
import { FormatError, NonFinite } from '../error.ts'
import {
  requestTokens,
  type ChoiceScore,
  type Scorer,
  type ScoreRequest,
} from '../inference/score.ts'
import type { Text } from '../text/text.ts'
import { byBudget } from '../data/batches.ts'
import { promptHash, requests, requestsHash, tokenizeRequest } from './requests.ts'
import { taskTable } from './tasks/table.ts'
import type { Document } from './tasks/task.ts'

export type Prepared = {
  readonly task: TaskName
  readonly promptHash: string
  readonly documents: readonly PreparedDocument[]
}

type PreparedDocument = {
  readonly index: number
  readonly hash: string
  readonly document: Document
  readonly request: ScoreRequest
}

/** Read a task's rows (the first `limit`) and make its requests. Throws FormatError naming the row. */
export async function prepareTask(
  task: TaskName,
  rows: string,
  limit: number | null,
  text: Text,
  maxPositions: number,
  signal: AbortSignal,
): Promise<Prepared> {
  const documents: PreparedDocument[] = []
  for await (const { row, value } of readRows(rows)) {
    if (limit !== null && documents.length >= limit) break
    signal.throwIfAborted()
    const document = taskTable[task].document(value, row, text)
    const request = tokenizeRequest(text, document.context, document.choices, { maxPositions })
    documents.push({ index: row, hash: requestsHash(requests(document)), document, request })
  }
  if (documents.length === 0)
    throw new FormatError(`${rows}: no rows, expected documents of ${task}`)
  return { task, promptHash: promptHash(documents.map((d) => d.hash)), documents }
}

/** Score in batches of like length; samples come as batches are done, each document once. An aborted signal ends it after a batch. */
export async function* evaluate(
  { task, documents }: Prepared,
  scorer: Scorer,
  tokenBudget: number,
  signal: AbortSignal,
): AsyncGenerator<{ samples: Sample[]; tokens: number }> {
  // Documents of one run share a rectangle in attention: equal numbers of choices and similar lengths waste the least.
  const sorted = documents.toSorted(
    (a, b) =>
      b.request.choices.length - a.request.choices.length ||
      requestTokens(b.request) - requestTokens(a.request) ||
      a.index - b.index,
  )
  for (const batch of byBudget(sorted, (d) => requestTokens(d.request), tokenBudget)) {
    if (signal.aborted) return
    const scores = await scorer.score(batch.map((d) => d.request))
    yield {
      samples: batch.map((d, i) => sample(task, d, scores[i]!)),
      tokens: batch.reduce((n, d) => n + requestTokens(d.request), 0),
    }
  }
}

/** Index of the largest, the first of equals. */
const argmax = (xs: readonly number[]): number =>
  xs.reduce((best, x, i) => (x > xs[best]! ? i : best), 0)

/** A model that computes NaN must not get a score that looks like one. */
function expectFinite(task: TaskName, index: number, scores: readonly ChoiceScore[]): void {
  const choice = scores.findIndex((s) => !Number.isFinite(s.logLikelihood))
  if (choice === -1) return
  throw new NonFinite(
    `${task}: ${place(index)}: the log-likelihood of choice ${choice} is ${scores[choice]!.logLikelihood}; expected finite numbers. Are the weights whole?`,
  )
}

function sample(
  task: TaskName,
  { index, hash, document }: PreparedDocument,
  scores: readonly ChoiceScore[],
): Sample {
  expectFinite(task, index, scores)
  const { gold, lengths } = document
  const picked = argmax(scores.map((s) => s.logLikelihood))
  const values = {
    acc: Number(picked === gold),
    acc_norm: Number(argmax(scores.map((s, i) => s.logLikelihood / lengths[i]!)) === gold),
  }
  return {
    document: index,
    hash,
    gold,
    picked,
    choices: scores.map((s): Choice => ({
      logLikelihood: s.logLikelihood,
      tokens: s.tokens.length,
    })),
    scores: Object.fromEntries(tasks[task].metrics.map((m) => [m, values[m]])),
    question: document.context.slice(-600),
    answers: document.choices.map((c) => c.trim().slice(0, 200)),
  }
}
