/** Against SciPy and statsmodels (golden.py wrote golden.json, with their versions) and against published tables. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { z } from '#api/evaluation/confidence.ts'
import { differ, type Paired } from '#api/evaluation/difference.ts'
import { mcnemar } from '#api/evaluation/mcnemar.ts'
import { summarize, wilson } from '#api/evaluation/mean.ts'
import { tango } from '#api/evaluation/tango.ts'
import { golden, near } from './golden.ts'

const paired = (p: Partial<Paired>): Paired => ({
  n: 100,
  leftOut: 0,
  baseline: 0.5,
  candidate: 0.5,
  gained: 0,
  lost: 0,
  deviation: 0,
  binary: true,
  ...p,
})

test('the normal quantile is SciPy’s', () => near(z, golden.z, 1e-15, 'z'))

test('mean and standard error equal numpy’s mean and scipy’s sem, as lm-evaluation-harness reports them', () => {
  for (const { values, mean, standardError } of golden.mean) {
    const got = summarize(values)!
    near(got.mean, mean, 1e-14, 'mean')
    near(got.standardError!, standardError, 1e-14, 'standard error')
  }
})

test('one sample has a mean but no standard error, and no sample has neither', () => {
  assert.deepEqual(summarize([1]), { n: 1, mean: 1, standardError: null })
  assert.equal(summarize([]), null)
})

test('Wilson’s interval equals statsmodels’', () => {
  for (const { right, n, interval } of golden.wilson) {
    const { low, high } = wilson(right / n, n)
    near(low, interval[0], 1e-12, `${right}/${n} low`)
    near(high, interval[1], 1e-12, `${right}/${n} high`)
  }
})

test('the exact McNemar test equals statsmodels’, also for twenty thousand discordant pairs', () => {
  for (const { gained, lost, pValue } of golden.mcnemar) {
    near(
      mcnemar(gained, lost),
      pValue,
      Math.max(1e-300, pValue * 1e-9),
      `${gained} against ${lost}`,
    )
    assert.equal(mcnemar(gained, lost), mcnemar(lost, gained))
  }
})

test('Tango’s interval equals the one that a numerical search over the constrained likelihood finds', () => {
  for (const { gained, lost, n, interval } of golden.tango) {
    const { low, high } = tango(gained, lost, n)
    near(low, interval[0], 1e-8, `${gained}, ${lost} of ${n} low`)
    near(high, interval[1], 1e-8, `${gained}, ${lost} of ${n} high`)
  }
})

test('Tango’s interval of the airway data of Fagerland et al. (2014), table V, is (-0.517, -0.026)', () => {
  const { low, high } = tango(1, 7, 21)
  assert.deepEqual([low.toFixed(3), high.toFixed(3)], ['-0.517', '-0.026'])
})

test('an adapter that changed no answer still has an interval: ± z² / (n + z²)', () => {
  const { low, high, pValue } = differ(paired({ n: 500 }))!
  near(low, -(z * z) / (500 + z * z), 1e-12, 'low')
  near(high, (z * z) / (500 + z * z), 1e-12, 'high')
  assert.equal(pValue, 1)
})

test('the interval turns around with the question', () => {
  const forth = differ(paired({ gained: 12, lost: 5 }))!
  const back = differ(paired({ gained: 5, lost: 12 }))!
  near(forth.low, -back.high, 1e-12, 'low')
  near(forth.high, -back.low, 1e-12, 'high')
  assert.equal(forth.difference, 0.07)
})

test('scores other than right and wrong get the analytic interval', () => {
  const got = differ(
    paired({
      n: 400,
      baseline: 0.4,
      candidate: 0.45,
      deviation: 0.5,
      binary: false,
      gained: 9,
      lost: 1,
    }),
  )!
  near(got.low, 0.05 - (z * 0.5) / 20, 1e-12, 'low')
  near(got.high, 0.05 + (z * 0.5) / 20, 1e-12, 'high')
})

test('equal differences of graded scores leave room for pairs that were not drawn', () => {
  const got = differ(paired({ n: 100, deviation: 0, binary: false }))!
  // Clopper–Pearson's upper limit for 0 of 100 is 0.0362 (the exact form of the rule of three).
  near(got.high, 0.0362, 5e-5, 'high')
  near(got.low, -0.0362, 5e-5, 'low')
})

test('nothing paired is no difference', () => assert.equal(differ(paired({ n: 0 })), null))

test('counts that cannot be are refused', () => {
  assert.throws(() => tango(3, 3, 5), /expected 0 <= gained \+ lost <= n and n >= 1, got 3, 3, 5/)
})
