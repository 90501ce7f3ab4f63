/** Aggregations and groups against lm-evaluation-harness (golden.ts). */
import assert from 'node:assert/strict'
import test from 'node:test'
import { aggregate } from '#api/evaluation/group.ts'
import { bitsPerByte, perplexity, weightedPerplexity } from '#api/evaluation/perplexity.ts'
import { golden, near } from './golden.ts'

test('perplexities and bits per byte are the harness’', () => {
  const { logLikelihoods, weights, ...expected } = golden.perplexity
  const documents = logLikelihoods.map((logLikelihood, i) => ({
    logLikelihood,
    weight: weights[i]!,
  }))
  near(perplexity(logLikelihoods) / expected.perplexity, 1, 1e-12, 'perplexity')
  near(weightedPerplexity(documents), expected.weighted, 1e-12, 'weighted')
  near(bitsPerByte(documents), expected.bitsPerByte, 1e-12, 'bits per byte')
})

test('groups have the harness’ means and standard errors, and none where a member has none', () => {
  for (const { members, bySize, n, mean, standardError } of golden.group) {
    const got = aggregate(
      members.map(([size, value, error]) => ({ n: size, mean: value, standardError: error })),
      bySize ? 'BY_SIZE' : 'EQUALLY',
    )!
    assert.equal(got.n, n)
    near(got.mean, mean, 1e-15, 'mean')
    if (standardError === null) assert.equal(got.standardError, null)
    else near(got.standardError!, standardError, 1e-15, 'standard error')
  }
  assert.equal(aggregate([], 'EQUALLY'), null)
})
