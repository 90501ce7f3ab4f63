/** BIG-bench as the Nous suite's fork asks it, and MMLU as today's harness does: test/golden/suites.py says where numbers come from. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { sources } from '#schema/sources.ts'
import { tasks } from '#schema/tasks.ts'
import { numpyPermutation } from '#gpu-runtime/evaluation/numpyRandom.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { shared, withoutShared } from '../shared.ts'
import {
  hashOf,
  judgedOf,
  pseudoLogLikelihoods,
  rendered,
  resultsOf,
  settingsOf,
} from './harness.ts'
import { suites } from './suitesGolden.ts'

test('permutations are those of numpy.random.RandomState', () => {
  // np.random.RandomState(42).permutation(10)
  assert.deepEqual(numpyPermutation(42, 10), [8, 1, 5, 0, 7, 2, 9, 4, 3, 6])
  assert.deepEqual(numpyPermutation(42, 1), [0])
})

test('permutations of 1 to 30 are those that were recorded', { skip: withoutShared }, () => {
  const file = shared(
    'data/conformance/lm-eval-v0.3.0/bigbench_numpy_randomstate42_permutation.json',
  )
  const recorded = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number[]>
  assert.equal(Object.keys(recorded).length, 30)
  for (const [n, order] of Object.entries(recorded))
    assert.deepEqual(numpyPermutation(42, Number(n)), order, n)
})

for (const [name, expected] of Object.entries(suites.bigBench))
  test(`bigbench_${name}: documents, requests and grades`, { skip: withoutShared }, async () => {
    const task = findTask(`bigbench_${name}`, 'NOUS')
    const documents = await rendered(
      settingsOf({ task: `bigbench_${name}`, dialect: 'NOUS' }),
      shared(`data/bigbench-nous/${name}.json`),
    )
    assert.equal(documents.length, expected.documents)
    assert.equal(documents.length, sources.get(`bigbench_${name}/default`)!.rows)
    assert.equal(hashOf(documents), expected.requests)
    const logLikelihoods = pseudoLogLikelihoods()
    const graded = (lls: Float64Array) =>
      resultsOf(judgedOf(task, documents, lls)).multiple_choice_grade!
    assert.ok(Math.abs(graded(logLikelihoods) - expected.grade) < 1e-12)
    const equals = logLikelihoods.map((ll) => Number(ll.toFixed(1)))
    assert.ok(Math.abs(graded(equals) - expected.gradeWithEquals) < 1e-12)
  })

for (const [subject, hashes] of Object.entries(suites.mmlu))
  test(
    `mmlu_${subject}: requests without examples and with five`,
    { skip: withoutShared },
    async () => {
      for (const [i, fewShot] of [0, 5].entries()) {
        const documents = await rendered(
          settingsOf({ task: `mmlu_${subject}`, fewShot }),
          shared(`data/mmlu/test/${subject}_test.csv`),
          shared(`data/mmlu/dev/${subject}_dev.csv`),
        )
        assert.equal(documents.length, sources.get(`mmlu_${subject}/test`)!.rows)
        assert.equal(hashOf(documents), hashes[i])
      }
    },
  )

const text = {} as Text
const row = {
  input: 'Which?',
  target_scores: { b: 1, '10': 0.5, a: 1 },
  choices: ['b', '10', 'a'],
  task: { task_prefix: 'Choose.', append_choices_to_input: true },
}

test('the answers keep the file’s order, are listed in another, and several of them can be right', () => {
  const task = findTask('bigbench_ruin_names', 'NOUS')
  const document = task.document(row, 0, text)
  assert.deepEqual(document, {
    text: 'Choose.\nQ: Which?\n  choice: 10\n  choice: a\n  choice: b\nA: ',
    choices: ['b', '10', 'a'],
    gold: [0, 2],
    grades: [1, 0.5, 1],
  })
  assert.ok(task.kind === 'multiple_choice')
  const likely = (...lls: number[]) =>
    task.judge!(
      document,
      lls.map((logLikelihood) => ({ logLikelihood, tokens: [logLikelihood], greedy: false })),
    )
  assert.deepEqual(likely(-3, -1, -2), { scores: { multiple_choice_grade: 0.5 }, picked: 1 })
  assert.deepEqual(likely(-3, -2, -1), { scores: { multiple_choice_grade: 1 }, picked: 2 })
})

const refused: [task: string, row: unknown, message: RegExp][] = [
  [
    'bigbench_navigate',
    { ...row, target_scores: { b: 1, a: 0 } },
    /^bigbench_navigate: row 7 .*: target_scores\.10 is undefined, expected a number/,
  ],
  [
    'bigbench_navigate',
    { ...row, task: { task_prefix: 5 } },
    /task\.task_prefix is 5, expected text/,
  ],
  [
    'bigbench_navigate',
    { ...row, task: { append_choices_to_input: 'no' } },
    /task\.append_choices_to_input is "no", expected true or false/,
  ],
  [
    'mmlu_anatomy',
    { question: 'Which?', choices: ['a', 'b', 'c'], answer: 0 },
    /choices are 3, expected 4/,
  ],
  [
    'mmlu_anatomy',
    { question: 'Which?', choices: ['a', 'b', 'c', 'd'], answer: 'E' },
    /answer is "E", expected an index below 4/,
  ],
  ['mmlu_anatomy', { question: 'Which?', choice0: 'a', answer: 0 }, /no column choice1; found/],
]
for (const [task, value, message] of refused)
  test(`${task}: refused with its row: ${message.source}`, () => {
    const { dialects } = tasks.get(task)!
    assert.throws(() => findTask(task, dialects[0]!).document(value, 7, text), {
      name: 'FormatError',
      message,
    })
  })

test('BIG-bench is asked without examples', async () => {
  await assert.rejects(
    rendered(settingsOf({ task: 'bigbench_snarks', dialect: 'NOUS', fewShot: 2 }), 'none.json'),
    {
      name: 'FormatError',
      message: 'bigbench_snarks: fewShot 2, expected 0: it has no solved examples',
    },
  )
})
