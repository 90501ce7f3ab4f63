import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import {
  promptHash,
  requestsHash,
  rollingWindows,
  tokenizePairs,
  tokenizeRolling,
  type Fit,
  type Pair,
} from '#gpu-runtime/evaluation/requests.ts'
import type { ScoreRequest } from '#gpu-runtime/inference/score.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { shared, smollm2, withoutShared } from '../shared.ts'
import { rendered, settingsOf } from './harness.ts'

const roomy: Fit = { maxPositions: 1000, bos: 'TOKENIZER' }

test('the JSON that is hashed is Python’s, escapes included', () => {
  // python3: json.dumps([["é\x7f\u2028🚀\"\\\n\t\x01", " ü"]], sort_keys=True)
  const python = String.raw`[["\u00e9\u007f\u2028\ud83d\ude80\"\\\n\t\u0001", " \u00fc"]]`
  assert.equal(
    requestsHash([{ kind: 'pairs', pairs: [['é\x7f\u2028🚀"\\\n\t\x01', ' ü']] }]),
    createHash('sha256').update(python).digest('hex'),
  )
})

test('a task’s prompt hash depends on every document and on their order', () => {
  const hashes = [promptHash(['a', 'b']), promptHash(['b', 'a']), promptHash(['a'])]
  assert.equal(new Set(hashes).size, 3)
  assert.match(hashes[0]!, /^[0-9a-f]{64}$/)
})

type Reference = {
  requests: Record<
    string,
    Record<'arc_easy' | 'openbookqa', string[]> & { trailing_blanks: [number[], number[]][] }
  >
}
const reference = JSON.parse(
  await readFile(join(import.meta.dirname, '../reference.json'), 'utf8'),
) as Reference

/** [context ids, continuation ids] of each choice. */
const split = (requests: readonly ScoreRequest[]) =>
  requests.flatMap(({ context, choices }) => choices.map((ids) => [context, ids]))

for (const name of ['stories260K', 'smollm2'])
  test(`${name}: context and continuations have the tokens that lm-evaluation-harness feeds`, async (t) => {
    const model =
      name === 'smollm2' ? await smollm2() : { directory: shared('data/stories260K/hf-derived') }
    if (withoutShared || model.directory === null)
      return t.skip('reason' in model ? String(model.reason) : String(withoutShared))
    const text = await openText(model.directory)
    const expected = reference.requests[name]!
    for (const task of ['arc_easy', 'openbookqa'] as const) {
      const settings = settingsOf({ task, limit: expected[task].length })
      const documents = await rendered(settings, shared(`data/nous-normalised/${task}.test.jsonl`))
      for (const [i, sha256] of expected[task].entries()) {
        const { requests } = documents[i]!
        assert.ok(requests.kind === 'pairs')
        const tokens = split(tokenizePairs(text, requests.pairs, roomy))
        assert.equal(
          createHash('sha256').update(JSON.stringify(tokens)).digest('hex'),
          sha256,
          `${task} ${i}`,
        )
      }
    }
    assert.deepEqual(
      split(tokenizePairs(text, pairs('Once upon a time \n', 'there was', 'a'), roomy)),
      expected.trailing_blanks,
    )
  })

const pairs = (context: string, ...continuations: string[]): Pair[] =>
  continuations.map((continuation) => [context, continuation])

/** One token a character, "cd" and "ce" one token each; BOS is 1 and put first. */
const letters: Text = {
  encode: (text) =>
    (text.match(/→|cd|ce|[^]/g) ?? []).map(
      (token) => ({ '→': 1, cd: 1000, ce: 1001 })[token] ?? token.charCodeAt(0),
    ),
  decode: () => '',
  bosId: 1,
  eosId: 2,
  padId: null,
  addsBos: true,
  vocabularySize: 1002,
  hasTemplate: false,
  render: () => '',
}
const [a, b, c, d, e, f] = [...'abcdef'].map((letter) => letter.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
]

test('what lies beyond the context’s own tokens is scored behind them, though the encodings part earlier', () => {
  assert.deepEqual(tokenizePairs(letters, pairs('abc', 'd', 'ef', 'f'), roomy), [
    // "cd" is one token: nothing lies beyond, and what is left to score is the token that merged.
    { context: [1, a, b], choices: [[1000]], scored: [1] },
    { context: [1, a, b, c], choices: [[f], [f]], scored: [1, 1] },
  ])
})

test('blanks at the end of the context belong to the continuations', () => {
  assert.deepEqual(tokenizePairs(letters, pairs('ab \n', 'd', 'e'), roomy), [
    {
      context: [1, a, b],
      choices: [
        [32, 10, d],
        [32, 10, e],
      ],
      scored: [3, 3],
    },
  ])
})

test('choices with contexts of their own are requests of their own, in order', () => {
  assert.deepEqual(
    tokenizePairs(
      letters,
      [
        ['a', 'e'],
        ['b', 'e'],
      ],
      roomy,
    ),
    [
      { context: [1, a], choices: [[e]], scored: [1] },
      { context: [1, b], choices: [[e]], scored: [1] },
    ],
  )
})

test('BOS is put first when the tokenizer does so or it is asked for, once, and an empty context is BOS or EOS', () => {
  const contextOf = (text: Text, context: string, bos: Fit['bos'] = 'TOKENIZER') =>
    tokenizePairs(text, [[context, 'b']], { ...roomy, bos })[0]!.context
  const plain = { ...letters, addsBos: false }
  assert.deepEqual(contextOf(letters, '→a'), [1, a])
  assert.deepEqual(contextOf(plain, 'a'), [a])
  assert.deepEqual(contextOf(plain, 'a', 'ALWAYS'), [1, a])
  assert.deepEqual(contextOf(letters, 'a', 'NEVER'), [a])
  assert.throws(() => contextOf({ ...plain, bosId: null }, 'a', 'ALWAYS'), {
    name: 'FormatError',
    message: /BOS was asked for/,
  })
  assert.deepEqual(tokenizePairs(letters, pairs('', 'ab'), roomy), [
    { context: [1], choices: [[a, b]], scored: [2] },
  ])
  assert.deepEqual(contextOf({ ...plain, bosId: null }, ''), [2])
  assert.throws(
    () => contextOf({ ...plain, bosId: null, eosId: null }, ''),
    /an empty context needs a BOS or EOS token/,
  )
})

test('what is too long loses its beginning, each choice for itself; the last token is only predicted', () => {
  const fit = (maxPositions: number) =>
    tokenizePairs(letters, pairs('abcabc', 'aa', 'a'), { ...roomy, maxPositions })
  const both = [1, a, b, c, a, b, c]
  // 7 + 2 tokens = 8 inputs and one that is only predicted
  assert.deepEqual(fit(8), [{ context: both, choices: [[a, a], [a]], scored: [2, 1] }])
  assert.deepEqual(fit(7), [
    { context: both.slice(1), choices: [[a, a]], scored: [2] },
    { context: both, choices: [[a]], scored: [1] },
  ])
  assert.deepEqual(
    fit(2).map(({ context }) => context),
    [[c], [b, c]],
  )
  assert.throws(() => fit(1), {
    name: 'FormatError',
    message: /a continuation of 2 tokens, expected at most 1/,
  })
})

test('rolling windows are those of lm-evaluation-harness: disjoint predictions, the last window full', () => {
  // tests/test_utils.py of EleutherAI/lm-evaluation-harness: 34 tokens, prefix -100, windows of 10, context 1.
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  assert.deepEqual(rollingWindows(range(0, 34), -100, 10), [
    { input: [-100, ...range(0, 9)], predicted: range(0, 10) },
    { input: range(9, 19), predicted: range(10, 20) },
    { input: range(19, 29), predicted: range(20, 30) },
    { input: range(23, 33), predicted: range(30, 34) },
  ])
  assert.deepEqual(rollingWindows(range(0, 4), -100, 10), [
    { input: [-100, 0, 1, 2], predicted: range(0, 4) },
  ])
  assert.deepEqual(rollingWindows([], -100, 10), [])
})

test('a text that is scored as a whole predicts every token once, BOS of the tokenizer included', () => {
  const requests = tokenizeRolling(letters, 'abcabc', { maxPositions: 3, bos: 'TOKENIZER' })
  assert.deepEqual(requests, [
    { context: [1], choices: [[1, a, b]], scored: [3] },
    { context: [b], choices: [[c, a, b]], scored: [3] },
    { context: [c, a, b], choices: [[c]], scored: [1] },
  ])
})
