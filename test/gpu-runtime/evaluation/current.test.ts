/**
 * Requests and metrics are those of lm-evaluation-harness 0.4.13, whose own tasks were run on the same
 * rows: test/golden/evaluation.py.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { tasks } from '#schema/tasks.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import { withoutShared } from '../shared.ts'
import { examplesOf, golden, rowsOf, styled, tagged, type Style } from './evaluationGolden.ts'
import {
  assertResults,
  hashOf,
  judgedOf,
  pseudoLogLikelihoods,
  rendered,
  resultsOf,
  settingsOf,
} from './harness.ts'

const settingsFor = (task: string, style: Style) => settingsOf({ task, ...styled(style) })

for (const [name, asked] of Object.entries(golden.tasks))
  test(`${name}: requests and metrics of today’s harness`, { skip: withoutShared }, async (t) => {
    const rows = await rowsOf(name, asked)
    const examples = await examplesOf(name, asked, rows)
    for (const [variant, hash] of Object.entries(asked.requests))
      await t.test(variant, async () => {
        const settings = settingsFor(name, golden.variants[variant]!)
        assert.equal(hashOf(await rendered(settings, rows, examples, tagged)), hash)
      })
    const documents = await rendered(settingsFor(name, {}), rows)
    assert.equal(documents.length, asked.documents)
    const judged = judgedOf(findTask(name, 'LM_EVAL'), documents, pseudoLogLikelihoods())
    assert.deepEqual(Object.keys(judged[0]!.scores), tasks.get(name)!.metrics)
    assertResults(resultsOf(judged), asked.results)
  })
