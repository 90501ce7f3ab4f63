/** Samples from log-likelihoods: what is picked, what is right, and that a model without numbers has no score. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { NonFinite } from '#gpu-runtime/error.ts'
import { prepareTask } from '#gpu-runtime/evaluation/prepare.ts'
import { evaluate, facesOf } from '#gpu-runtime/evaluation/run.ts'
import type { Scorer } from '#gpu-runtime/inference/score.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { embedded } from '#demo/embedded.ts'
import { settingsOf } from './harness.ts'

const signal = new AbortController().signal
const text = await openText(embedded.model)
const task = await prepareTask(
  settingsOf({ task: 'who_is_bigger', limit: 6 }),
  { rows: embedded.benchmark, examples: null },
  { text, maxPositions: 128 },
  signal,
)

/** Answers every document with the same log-likelihoods. */
const fixed = (...logLikelihoods: number[]): Scorer => ({
  score: async (trees) => [
    trees.flatMap(({ items }) =>
      items.map(() =>
        logLikelihoods.map((v) => ({ logLikelihood: v, tokens: [v], greedy: false })),
      ),
    ),
  ],
  release: async () => {},
})

const samples = async (scorer: Scorer) =>
  (await Array.fromAsync(evaluate(task, scorer, 64, signal))).flatMap((b) => b.samples[0]!)

test('the likelier choice is picked, the first of equals, and every document is scored once', async () => {
  for (const [scorer, picked] of [
    [fixed(-2, -1), 1],
    [fixed(-1, -1), 0],
  ] as const) {
    const found = await samples(scorer)
    assert.deepEqual(found.map((s) => s.document).sort(), [0, 1, 2, 3, 4, 5])
    for (const s of found) {
      assert.equal(s.picked, picked)
      assert.equal(s.scores.acc, Number(s.gold === picked))
    }
  }
})

test('a log-likelihood that is not finite ends the evaluation and names document and choice', async () => {
  for (const bad of [NaN, -Infinity]) {
    await assert.rejects(samples(fixed(-1, bad)), (error: unknown) => {
      assert.ok(error instanceof NonFinite)
      assert.match(
        error.message,
        /^who_is_bigger: row \d .*the log-likelihood of choice 1 is (NaN|-Infinity); expected finite numbers/,
      )
      return true
    })
  }
})

test('people see what choices have in common once, and what comes before each with it', () => {
  const document = {
    text: ['She asked Sarah', 'She asked Sally'],
    choices: ['to go.', 'to go.'],
    gold: [1],
  }
  assert.deepEqual(facesOf(document), {
    gold: 1,
    question: 'She asked ',
    answers: ['Sarah to go.', 'Sally to go.'],
  })
  assert.deepEqual(facesOf({ text: 'Why?', choices: [' So.', ' No.'], gold: [0] }), {
    gold: 0,
    question: 'Why?',
    answers: ['So.', 'No.'],
  })
})
