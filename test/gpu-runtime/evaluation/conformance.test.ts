/** Requests and metrics are those that lm-evaluation-harness 0.3.0 recorded: see harness.ts. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import { tasks } from '#schema/tasks.ts'
import { goldenFile } from '../golden.ts'
import type { GenerationDocument, GenerationTask } from '#gpu-runtime/evaluation/tasks/task.ts'
import { shared, withoutShared } from '../shared.ts'
import { examplesOf, golden, rowsOf } from './evaluationGolden.ts'
import {
  assertResults,
  countOf,
  hashOf,
  judgedOf,
  pseudoLogLikelihoods,
  recorded,
  rendered,
  resultsOf,
  settingsOf,
} from './harness.ts'

/** The harness's name of a task, and ours. */
const names: Readonly<Record<string, { task: string }>> = {
  arc_easy: { task: 'arc_easy' },
  boolq: { task: 'boolq' },
  openbookqa: { task: 'openbookqa' },
  piqa: { task: 'piqa' },
  truthfulqa_mc: { task: 'truthfulqa_mc' },
  winogrande: { task: 'winogrande' },
  // The subjects whose test rows are at hand.
  'hendrycksTest-abstract_algebra': { task: 'mmlu_abstract_algebra' },
  'hendrycksTest-anatomy': { task: 'mmlu_anatomy' },
  'hendrycksTest-astronomy': { task: 'mmlu_astronomy' },
  'hendrycksTest-business_ethics': { task: 'mmlu_business_ethics' },
  'hendrycksTest-clinical_knowledge': { task: 'mmlu_clinical_knowledge' },
  'hendrycksTest-college_biology': { task: 'mmlu_college_biology' },
  'hendrycksTest-college_chemistry': { task: 'mmlu_college_chemistry' },
  'hendrycksTest-college_computer_science': { task: 'mmlu_college_computer_science' },
  'hendrycksTest-college_mathematics': { task: 'mmlu_college_mathematics' },
  'hendrycksTest-college_medicine': { task: 'mmlu_college_medicine' },
  'hendrycksTest-college_physics': { task: 'mmlu_college_physics' },
  'hendrycksTest-computer_security': { task: 'mmlu_computer_security' },
}

for (const [name, { task }] of Object.entries(names))
  test(`${name}: requests and metrics of version 0.3.0`, { skip: withoutShared }, async () => {
    const expected = recorded()[name]!
    const settings = settingsOf({ task, dialect: 'NOUS' })
    const documents = await rendered(settings, shared(`data/${expected.file}`))
    assert.equal(documents.length, expected.n_docs)
    assert.equal(countOf(documents), expected.n_requests)
    assert.equal(hashOf(documents), expected.requests_sha256)
    assertResults(
      resultsOf(judgedOf(findTask(task, 'NOUS'), documents, pseudoLogLikelihoods())),
      expected.results,
    )
  })

test('wikitext: requests and metrics of version 0.3.0', { skip: withoutShared }, async () => {
  const settings = settingsOf({ task: 'wikitext', dialect: 'NOUS' })
  const pages = await rendered(settings, shared('data/wikitext-2-raw/wiki.test.raw.reconstructed'))
  assert.equal(pages.length, 62)
  // tests/testdata/wikitext-v0-loglikelihood_rolling; version 1 counts the original's words, its requests are the same.
  assert.equal(hashOf(pages), 'b6f83e6cf7535ee41b0057c3e2ec2cf7f2fa5a9119b305c479a83091d1142b2c')
  // tests/testdata/wikitext-v1-res.json: so near to 1 that only the last digits say something.
  assertResults(
    resultsOf(judgedOf(findTask('wikitext', 'NOUS'), pages, pseudoLogLikelihoods())),
    {
      bits_per_byte: 3.202519859941674e-5,
      byte_perplexity: 1.0000221984224973,
      word_perplexity: 1.000118710696617,
    },
    1e-14,
  )
})

const legacy = JSON.parse(readFileSync(goldenFile('legacy.json'), 'utf8')) as {
  mmlu_anatomy: { examples: number; few: string }
  tasks: Record<
    string,
    {
      examples: number
      requests: Record<'zero' | 'few', string>
      results: Record<string, number>
    }
  >
}

for (const [name, { examples: fewShot, requests, results }] of Object.entries(legacy.tasks))
  test(
    `${name}: what the classes of version 0.3.0 ask, with examples too`,
    { skip: withoutShared },
    async () => {
      // test/golden/legacy.py, on the rows of test/golden/evaluation.py
      const asked = golden.tasks[name]!
      const rows = await rowsOf(name, asked)
      const few = settingsOf({ task: name, dialect: 'NOUS', fewShot, limit: 20 })
      assert.equal(
        hashOf(await rendered(few, rows, await examplesOf(name, asked, rows))),
        requests.few,
      )
      const documents = await rendered(settingsOf({ task: name, dialect: 'NOUS' }), rows)
      assert.equal(hashOf(documents), requests.zero)
      const { ppl, ...others } = results
      assertResults(
        resultsOf(judgedOf(findTask(name, 'NOUS'), documents, pseudoLogLikelihoods())),
        ppl === undefined ? others : { ...others, perplexity: ppl },
      )
    },
  )

test(
  'mmlu_anatomy: examples as version 0.3.0 draws them, of dev’s rows instead of validation’s',
  { skip: withoutShared },
  async () => {
    const { examples: fewShot, few } = legacy.mmlu_anatomy
    const documents = await rendered(
      settingsOf({ task: 'mmlu_anatomy', dialect: 'NOUS', fewShot, limit: 20 }),
      shared('data/mmlu/test/anatomy_test.csv'),
      shared('data/mmlu/dev/anatomy_dev.csv'),
    )
    assert.equal(hashOf(documents), few)
  },
)

for (const name of [...tasks.keys()].filter((key) => key.startsWith('agieval_')))
  test(
    `${name}: the fork asks what today’s harness asks, in its own order`,
    { skip: withoutShared },
    async () => {
      // Its classes are in no package; rows, prompts and scores are the same (current.test.ts).
      const rows = await rowsOf(name, golden.tasks[name]!)
      const today = await rendered(settingsOf({ task: name }), rows)
      const forked = await rendered(settingsOf({ task: name, dialect: 'NOUS' }), rows)
      assert.notDeepEqual(forked, today)
      assert.deepEqual(
        forked.toSorted((a, b) => a.index - b.index),
        today,
      )
    },
  )

test('gsm8k: requests and metrics of version 0.3.0', { skip: withoutShared }, async () => {
  const expected = recorded()['gsm8k']!
  const documents = await rendered(
    settingsOf({ task: 'gsm8k', dialect: 'NOUS' }),
    shared(`data/${expected.file}`),
  )
  assert.equal(documents.length, expected.n_docs)
  assert.equal(hashOf(documents), expected.requests_sha256)
  // It was recorded on responses without a number. What we call exact_match_strict is its acc.
  const task = findTask('gsm8k', 'NOUS') as GenerationTask
  const judge = (response: (target: string) => string) =>
    resultsOf(
      documents
        .map(({ document }) => document as GenerationDocument)
        .map((document) => task.judge(document, response(document.target))),
    )
  const { exact_match_strict, exact_match_strict_stderr } = judge(() => 'lol')
  assertResults(
    { acc: exact_match_strict!, acc_stderr: exact_match_strict_stderr! },
    expected.results,
  )
  assert.equal(judge((target) => ` #### ${target.split('#### ')[1]}`).exact_match_strict, 1)
})
