import assert from 'node:assert/strict'
import test from 'node:test'
import { agreement, accuracy } from '#bench/eval/agreement.ts'
import { neededTokens, scoringFlops } from '#bench/eval/needed.ts'

test('needed tokens are those that are not computed already, in themselves and in what comes before', () => {
  // a b c d → one choice of two tokens, one of one: fed a b c and a b; a b x → fed a b x of another question; and a task of its own.
  const first = { context: [1, 2], choices: [[3, 4], [9]], scored: [2, 1] }
  const second = { context: [1, 2, 7], choices: [[5], [6]], scored: [1, 1] }
  const other = { context: [1, 2], choices: [[3]], scored: [1] }
  assert.deepEqual(neededTokens([[first, second], [other]]), {
    once: 3 + 3 + 2,
    // 1 2 3 7, and 1 2 again for the other task.
    tokens: 4 + 2,
    // 2 predicts 3 and 9, 3 predicts 4, 7 predicts 5 and 6; and the other task's 2.
    predicting: 3 + 1,
    // 1 and 2 see 1 and 2, 3 and 7 see 3 each.
    visible: 1 + 2 + 3 + 3 + 1 + 2,
  })
})

test('FLOPs of scoring are those counted by hand', () => {
  const config = {
    layers: 2,
    hidden: 8,
    heads: 4,
    kvHeads: 2,
    headDim: 2,
    intermediate: 10,
    vocabulary: 20,
  }
  // Weights a layer: q 8·8, k and v 8·4, o 8·8, three of 8·10 = 432; scores and values of 4 heads of 2.
  const needed = { once: 7, tokens: 5, predicting: 3, visible: 13 }
  assert.equal(
    scoringFlops(config, needed),
    2 * 2 * 432 * 5 + 2 * 20 * 8 * 3 + 2 * 2 * 2 * 4 * 2 * 13,
  )
})

test('sides agree as far as their log-likelihoods do, and flip where they pick another choice', () => {
  const [ours, theirs] = [
    [
      [-1, -2],
      [-3, -2.5],
    ],
    [
      [-1.25, -2],
      [-2.25, -2.5],
    ],
  ]
  assert.deepEqual(agreement(ours!, theirs!), {
    maxLogLikelihoodDifference: 0.75,
    flippedDocuments: 1,
  })
  assert.deepEqual([accuracy(ours!, [[0], [0, 1]]), accuracy(theirs!, [[1], [1]])], [1, 0])
})
