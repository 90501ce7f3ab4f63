/**
 * What lm-evaluation-harness 0.3.0 recorded in its own tests (tests/testdata): hashes of the requests of
 * whole tasks, and results for the log-likelihoods -random.random() of random.seed(42), in the order
 * in which Random(42) shuffles the documents.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { summarize } from '#api/evaluation/mean.ts'
import { aggregates, metrics, type Metric } from '#schema/metrics.ts'
import { EvaluationSettings, type EvaluationSettings as Settings } from '#schema/spec.ts'
import { documentsOf, type Rendered } from '#gpu-runtime/evaluation/prepare.ts'
import { requestsHash } from '#gpu-runtime/evaluation/requests.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import {
  judgeChoices,
  type ChoiceDocument,
  type Judged,
  type Task,
} from '#gpu-runtime/evaluation/tasks/task.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { shared } from '../shared.ts'

export type Recorded = {
  /** Under shared/data. */
  readonly file: string
  readonly n_docs: number
  readonly n_requests: number
  readonly requests_sha256: string
  readonly results: Readonly<Record<string, number>>
}

const conformance = (name: string) => shared(`data/conformance/lm-eval-v0.3.0/${name}`)

export const recorded = (): Readonly<Record<string, Recorded>> =>
  JSON.parse(readFileSync(conformance('expected.json'), 'utf8')) as Record<string, Recorded>

/** -random.random() of random.seed(42). */
export function pseudoLogLikelihoods(): Float64Array {
  const bytes = readFileSync(conformance('pseudo_lls_seed42.f64le'))
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
}

/** Settings with the defaults of the spec. */
export const settingsOf = (given: Partial<Settings> & { task: string }): Settings =>
  EvaluationSettings.parse({
    version: 1,
    limit: null,
    rowsSha256: '0'.repeat(64),
    dialect: 'LM_EVAL',
    dtype: 'FLOAT32',
    ...given,
  })

/** For tasks that do not look at the model's text side. */
const noText = {} as Text

/** All documents of a task as `settings` ask for them. */
export const rendered = (
  settings: Settings,
  rows: string,
  examples: string | null = null,
  text: Text = noText,
): Promise<Rendered[]> =>
  documentsOf(
    findTask(settings.task, settings.dialect),
    settings,
    { rows, examples },
    text,
    new AbortController().signal,
  )

export const hashOf = (documents: readonly Rendered[]): string =>
  requestsHash(documents.map(({ requests }) => requests))

export const countOf = (documents: readonly Rendered[]): number =>
  documents.reduce(
    (n, { requests }) => n + (requests.kind === 'pairs' ? requests.pairs.length : 1),
    0,
  )

/** Documents judged when log-likelihoods are dealt out in the order of the requests, none of them greedy. */
export function judgedOf(
  task: Task,
  documents: readonly Rendered[],
  logLikelihoods: Float64Array,
): Judged[] {
  let at = 0
  return documents.map(({ document, requests }): Judged => {
    if (task.kind === 'loglikelihood_rolling') return task.judge(document, logLikelihoods[at++]!)
    if (task.kind === 'generate_until' || requests.kind !== 'pairs')
      throw new Error('responses are not scored by log-likelihoods')
    const scores = requests.pairs.map(() => {
      const logLikelihood = logLikelihoods[at++]!
      return { logLikelihood, tokens: [logLikelihood], greedy: false }
    })
    return task.judge?.(document, scores) ?? judgeChoices(document as ChoiceDocument, scores)
  })
}

/** Values of every metric, and the standard errors of those that are plain means. */
export function resultsOf(judged: readonly Judged[]): Record<string, number> {
  const results: Record<string, number> = {}
  for (const name of Object.keys(judged[0]!.scores) as Metric[]) {
    const values = judged.map(({ scores }) => scores[name]!)
    const weight = judged.reduce((sum, { weights }) => sum + (weights?.[name] ?? 1), 0)
    const { aggregate } = metrics[name]
    const { mean, standardError } = summarize(values)!
    results[name] = aggregates[aggregate]((mean * values.length) / weight)
    if (aggregate === 'MEAN' && judged[0]!.weights === undefined)
      results[`${name}_stderr`] = standardError!
  }
  return results
}

/** The same metrics, and their values. */
export function assertResults(
  found: Readonly<Record<string, number>>,
  expected: Readonly<Record<string, number>>,
  tolerance = 1e-9,
): void {
  assert.deepEqual(Object.keys(found).toSorted(), Object.keys(expected).toSorted())
  for (const [metric, value] of Object.entries(expected))
    assert.ok(Math.abs(found[metric]! - value) < tolerance, `${metric}: ${found[metric]}, ${value}`)
}
