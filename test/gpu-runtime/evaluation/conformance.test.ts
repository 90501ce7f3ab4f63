/** Requests and metrics are those that lm-evaluation-harness 0.3.0 recorded: see harness.ts. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Metric } from '#schema/metrics.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import { shared, withoutShared } from '../shared.ts'
import {
  countOf,
  hashOf,
  pseudoLogLikelihoods,
  recorded,
  rendered,
  resultsOf,
  settingsOf,
} from './harness.ts'

/** The harness's task: ours, and what the harness calls its results where that is not our name. */
const tasks: Readonly<Record<string, { task: string }>> = {
  arc_easy: { task: 'arc_easy' },
  openbookqa: { task: 'openbookqa' },
}

for (const [name, { task }] of Object.entries(tasks))
  test(`${name}: requests and metrics of version 0.3.0`, { skip: withoutShared }, async () => {
    const expected = recorded()[name]!
    const settings = settingsOf({ task, dialect: 'NOUS' })
    const documents = await rendered(settings, shared(`data/${expected.file}`))
    assert.equal(documents.length, expected.n_docs)
    assert.equal(countOf(documents), expected.n_requests)
    assert.equal(hashOf(documents), expected.requests_sha256)
    const results = resultsOf(findTask(task, 'NOUS'), documents, pseudoLogLikelihoods())
    for (const [metric, value] of Object.entries(expected.results))
      if (!metric.endsWith('_stderr'))
        assert.ok(Math.abs(results[metric as Metric]! - value) < 1e-9, metric)
  })
