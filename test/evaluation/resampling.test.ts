/** Bootstrap, permutation, Holm and power against SciPy, statsmodels and lm-evaluation-harness (golden.ts). */
import assert from 'node:assert/strict'
import test from 'node:test'
import { bootstrapInterval, bootstrapStandardError } from '#api/evaluation/bootstrap.ts'
import { differ } from '#api/evaluation/difference.ts'
import { holm } from '#api/evaluation/holm.ts'
import { mcnemar } from '#api/evaluation/mcnemar.ts'
import { cumulative, quantile } from '#api/evaluation/normal.ts'
import { compareScores, pairedOf } from '#api/evaluation/paired.ts'
import { perplexity } from '#api/evaluation/perplexity.ts'
import { signFlip } from '#api/evaluation/permutation.ts'
import {
  detectable,
  detectableBinary,
  minimalDetectableEffect,
  needed,
  neededBinary,
} from '#api/evaluation/power.ts'
import { pythonRandom } from '#api/evaluation/pythonRandom.ts'
import { golden, near } from './golden.ts'

test('the normal distribution and its quantile are SciPy’s, in both tails', () => {
  for (const { x, p } of golden.normal) {
    near(cumulative(x), p, 2e-13 * p, `P[Z <= ${x}]`)
    if (x <= 2) near(quantile(p), x, 1e-12 * Math.max(1, Math.abs(x)), `quantile of ${p}`)
  }
  assert.deepEqual([quantile(0), quantile(1)], [-Infinity, Infinity])
})

test('draws are those of Python’s random.Random', () => {
  for (const { seed, draws } of golden.pythonRandom) {
    const random = pythonRandom(seed)
    assert.deepEqual(
      draws.map(() => random()),
      draws,
    )
  }
})

test('bootstrapped standard errors are the harness’ own numbers: its seeds, its chunks, its statistics', () => {
  const { logLikelihoods, bootstrap, median } = golden.perplexity
  const tenth = logLikelihoods.map((value) => value / 10)
  for (const { resamples, standardError } of bootstrap) {
    const got = bootstrapStandardError(perplexity, tenth, resamples)!
    near(got.standardError, standardError, 1e-11 * standardError, `${resamples} resamples`)
    assert.equal(got.resamples, resamples === 3700 ? 3000 : resamples) // whole chunks of 1,000
  }
  const upper = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
  const got = bootstrapStandardError(upper, logLikelihoods, median.resamples)!
  near(got.standardError, median.standardError, 1e-11, 'median')
  assert.equal(bootstrapStandardError(perplexity, [-1]), null)
})

test('many documents get fewer resamples and are told; too many are refused', () => {
  const values = Array.from({ length: 20_000 }, (_, i) => i % 2)
  assert.equal(bootstrapStandardError(([first]) => first!, values)!.resamples, 1000)
  assert.throws(
    () => bootstrapStandardError(([first]) => first!, Array(200_001).fill(0)),
    /expected at most 200000 documents, got 200001/,
  )
  assert.throws(() => bootstrapStandardError(perplexity, values, 1), /expected an integer from 2/)
})

test('BCa intervals of one sample and of means over several are SciPy’s, as near as their draws allow', () => {
  for (const { values, shares, level, interval, standardError } of golden.bca) {
    const strata = values.map((stratum, i) => ({ values: stratum, share: shares[i]! }))
    const got = bootstrapInterval(strata, { level, resamples: 100_000, seed: 1 })
    // A percentile of 100,000 replicates is uncertain by about 0.01 standard errors.
    near(got.low, interval[0], 0.03 * standardError, 'low')
    near(got.high, interval[1], 0.03 * standardError, 'high')
    assert.deepEqual(bootstrapInterval(strata, { level, resamples: 100_000, seed: 1 }), got)
  }
})

test('log-likelihood per token has the robust standard error of statsmodels’ regression through 0', () => {
  const { baseline, candidate, tokens, difference, standardError, interval } = golden.ratio
  const paired = pairedOf({ baseline, candidate, weights: tokens })
  near(paired.candidate - paired.baseline, difference, 1e-13, 'difference')
  near(paired.deviation! / Math.sqrt(paired.n), standardError, 1e-13, 'standard error')
  const got = compareScores({ baseline, candidate, weights: tokens }, { seed: 3 })!
  near(got.low, interval[0], 1e-12, 'low')
  near(got.high, interval[1], 1e-12, 'high')
  near(got.bootstrap.low, interval[0], 0.3 * standardError, 'bootstrap low')
  near(got.bootstrap.high, interval[1], 0.3 * standardError, 'bootstrap high')
  assert.equal(got.test, 'SIGN_FLIP')
  assert.ok(got.pValue < 0.001)
})

test('the permutation test of paired scores is SciPy’s: exact for few pairs, near for many', () => {
  for (const { differences, pValue } of golden.permutation) {
    const got = signFlip(differences)
    assert.ok(got.exact)
    near(got.pValue, pValue, 1e-12, String(differences))
  }
  const { differences, pValue } = golden.permutationDrawn
  const got = signFlip(differences, { resamples: 200_000, seed: 5 })
  assert.deepEqual([got.exact, got.resamples], [false, 200_000])
  near(got.pValue, pValue, 5 * Math.sqrt(pValue / 200_000), 'drawn')
})

test('differences of one size make the permutation test McNemar’s', () => {
  for (const [gained, lost] of [
    [3, 1],
    [12, 20],
    [0, 9],
    [0, 0],
  ] as const) {
    const differences = [...Array(gained).fill(0.1), ...Array(lost).fill(-0.1), 0, 0] as number[]
    near(signFlip(differences).pValue, mcnemar(gained, lost), 1e-12, `${gained}, ${lost}`)
  }
})

test('a drawn p-value is never 0', () => {
  assert.equal(signFlip(Array(100).fill(0.5), { resamples: 99 }).pValue, 0.01)
})

test('arrays of scores count as the database counts them', () => {
  const paired = pairedOf({ baseline: [1, 0, 1, NaN, 0, 0], candidate: [1, 1, 0, 1, null, 1] })
  const { deviation, ...counts } = paired
  assert.deepEqual(counts, {
    n: 4,
    leftOut: 2,
    baseline: 0.5,
    candidate: 0.75,
    gained: 2,
    lost: 1,
    binary: true,
    bounded: true,
  })
  near(deviation!, Math.sqrt((0.25 ** 2 + 2 * 0.75 ** 2 + 1.25 ** 2) / 3), 1e-15, 'deviation')
  const got = compareScores({ baseline: [1, 0, 1], candidate: [1, 1, 0] })!
  assert.equal(got.test, 'MCNEMAR')
  assert.equal(compareScores({ baseline: [NaN], candidate: [1] }), null)
  assert.throws(
    () => pairedOf({ baseline: [1], candidate: [] }),
    /as many on both sides, got 1 and 0/,
  )
  assert.throws(
    () => pairedOf({ baseline: [1], candidate: [1], weights: [0] }),
    /positive weight, got 0 at 0/,
  )
})

test('unbounded scores keep an interval beyond 1, and one pair of them says nothing', () => {
  const base = { baseline: [-9, -7], candidate: [-3, -4], bounded: false }
  assert.ok(differ(pairedOf(base))!.high > 1)
  const one = differ(pairedOf({ baseline: [-9], candidate: [-3], bounded: false }))!
  assert.deepEqual([one.low, one.high], [-Infinity, Infinity])
})

test('Holm’s adjusted p-values are statsmodels’', () => {
  for (const { pValues, adjusted } of golden.holm)
    for (const [i, value] of holm(pValues).entries())
      near(value, adjusted[i]!, 1e-14, `${pValues} at ${i}`)
})

test('the detectable effect is the one statsmodels solves for, and needed is its inverse', () => {
  for (const { n, effect, ...plan } of golden.power) {
    // statsmodels counts the wrong tail of a two-sided test as power too; 1e-6 at the most here
    near(detectable(n, 1, plan), effect, 1e-6, `n ${n}`)
    assert.equal(needed(detectable(n, 0.3, plan) + 1e-12, 0.3, plan), n)
  }
  assert.equal(needed(0, 0.3), Infinity)
  assert.throws(() => needed(0.1, 1, { alpha: 0.5, power: 0.4, sides: 1 }), /0 < alpha < power < 1/)
})

test('for right and wrong it is Connor’s, found by a root in the reference', () => {
  for (const { n, discordant, detectable: expected, ...plan } of golden.connor) {
    const got = detectableBinary(n, discordant, plan)
    near(got, expected, 1e-12, `n ${n}`)
    assert.equal(neededBinary(got + 1e-12, discordant, plan), n)
  }
  assert.equal(neededBinary(0, 0.1), Infinity)
  assert.equal(detectableBinary(3, 0.5), Infinity) // three pairs that all turn one way are no evidence at 0.05
})

test('a difference above the discordance is planned for pairs that all turn one way', () => {
  const paired = pairedOf({ baseline: Array(500).fill(1), candidate: Array(500).fill(1) })
  const effect = minimalDetectableEffect(paired)!
  near(detectableBinary(500, effect), effect, 1e-12, 'its own discordance')
  assert.ok(effect > 0.0155 && effect < 0.0158, `${effect}`) // (1.96 + 0.84)² / 500 = 0.0157
  assert.equal(neededBinary(effect + 1e-9, 0), 500)
  assert.equal(minimalDetectableEffect({ ...paired, n: 0 }), null)
})
