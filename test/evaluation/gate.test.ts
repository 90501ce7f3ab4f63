/** Verdicts over a comparison; p-values and intervals against the score test of golden.py. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { bootstrapInterval } from '#api/evaluation/bootstrap.ts'
import { z } from '#api/evaluation/confidence.ts'
import { differ, type Paired } from '#api/evaluation/difference.ts'
import { gate, type ComparedTask, type Rule } from '#api/evaluation/gate.ts'
import { aggregate } from '#api/evaluation/group.ts'
import { pairedOf } from '#api/evaluation/paired.ts'
import { neededBinary, discordance } from '#api/evaluation/power.ts'
import { differSuite, suiteMean } from '#api/evaluation/suite.ts'
import { InvalidInput } from '#api/problem.ts'
import { golden, near } from './golden.ts'

/** Right/wrong scores in which this many pairs flipped. */
const flips = (gained: number, lost: number, n: number, leftOut = 0): Paired => {
  const d = (gained - lost) / n
  const deviation = Math.sqrt(((gained + lost) / n - d * d) * (n / (n - 1)))
  const counts = { n, leftOut, gained, lost, deviation, binary: true }
  return { ...counts, baseline: 0.5, candidate: 0.5 + d }
}
const task = (name: string, paired: Paired): ComparedTask => ({
  task: name,
  headline: 'acc',
  metrics: { acc: paired },
})
const notWorse: Rule = { kind: 'NON_INFERIORITY', margin: 0.02 }
const better: Rule = { kind: 'SUPERIORITY', margin: 0 }

test('p-values and 90% intervals of claims about right/wrong scores are those of the score test', () => {
  for (const { gained, lost, n, bound, pValue, interval90 } of golden.claims) {
    const kind = bound > 0 ? 'SUPERIORITY' : 'NON_INFERIORITY'
    const { judgements } = gate(
      [task('a', flips(gained, lost, n))],
      [{ kind, margin: Math.abs(bound) }],
    )
    const [got] = judgements
    near(got!.pValue!, pValue, 1e-9, `${gained}, ${lost} of ${n} against ${bound}`)
    near(got!.low, interval90[0], 1e-8, 'low')
    near(got!.high, interval90[1], 1e-8, 'high')
    assert.equal(got!.verdict === 'PASS', pValue <= 0.05)
    near(got!.level, 0.9, 1e-15, 'level')
  }
})

test('evidence for a claim passes, evidence against it fails, and neither is undecided', () => {
  const verdictOf = (paired: Paired, rule: Rule) => gate([task('a', paired)], [rule]).verdict
  assert.equal(verdictOf(flips(20, 18, 1000), notWorse), 'PASS')
  assert.equal(verdictOf(flips(10, 80, 1000), notWorse), 'FAIL')
  assert.equal(verdictOf(flips(3, 4, 100), notWorse), 'UNDECIDED')
  assert.equal(verdictOf(flips(40, 10, 1000), better), 'PASS')
  assert.equal(verdictOf(flips(10, 40, 1000), better), 'FAIL')
  assert.equal(verdictOf(flips(25, 20, 1000), better), 'UNDECIDED')
  // An adapter that changed nothing is not better, but of 500 samples that is no proof either.
  assert.equal(verdictOf(flips(0, 0, 500), better), 'UNDECIDED')
  assert.equal(verdictOf(flips(0, 0, 500), notWorse), 'PASS')
})

test('one FAIL fails, one UNDECIDED without it is undecided, and the log says why', () => {
  const comparison = [
    task('good', flips(20, 18, 1000)),
    task('bad', flips(10, 80, 1000)),
    task('small', flips(3, 4, 100)),
  ]
  const over = (...names: string[]) =>
    gate(
      comparison,
      names.map((name) => ({ ...notWorse, task: name })),
    )
  assert.equal(over('good').verdict, 'PASS')
  assert.equal(over('good', 'small').verdict, 'UNDECIDED')
  assert.equal(over('small', 'bad', 'good').verdict, 'FAIL')
  const reasons = over('good', 'bad', 'small').judgements.map(({ reason }) => reason)
  assert.match(
    reasons[0]!,
    /^PASS good acc: difference \+0\.002, 90% interval -0\.00\d+ to \+0\.01\d+, n 1000: not inferior by more than the margin 0\.02$/,
  )
  assert.match(reasons[1]!, /^FAIL bad acc: .*: inferior by more than the margin 0\.02$/)
  assert.match(reasons[2]!, /^UNDECIDED small acc: .* about \d+ would decide, with 80% power/)
})

test('the n that an undecided rule would take is the one at which a repetition decides', () => {
  const paired = flips(3, 4, 100)
  const [judgement] = gate([task('a', paired)], [notWorse]).judgements
  const needed = judgement!.needed!
  // Connor's n is of the same order: its spread under the claim's border is a little wider.
  const connor = neededBinary(0.02 - 0.01, discordance(paired), { sides: 1 })
  assert.ok(needed / connor > 0.9 && needed / connor < 1.1, `${needed} against ${connor}`)
  assert.ok(judgement!.detectable! > 0.01) // what 100 pairs see is coarser than the distance to the bound
  const times = Math.ceil(needed / 100)
  const repeated = flips(3 * times, 4 * times, 100 * times)
  assert.equal(gate([task('a', repeated)], [notWorse]).verdict, 'PASS')
})

test('what was not measured does not pass', () => {
  const comparison = [task('a', flips(20, 18, 1000))]
  const message = (rules: Rule[], options = {}) => {
    try {
      gate(comparison, rules, options)
    } catch (error) {
      assert.ok(error instanceof InvalidInput)
      return error.message
    }
    return assert.fail('expected a refusal')
  }
  assert.equal(
    message([{ ...notWorse, task: 'b' }]),
    'rules.0.task: expected a task of the comparison (a), got "b"',
  )
  assert.match(message([{ ...notWorse, metric: 'f1' }]), /rules\.0\.metric: .*\(acc\), got "f1"/)
  assert.match(message([{ ...notWorse, tasks: [] }]), /rules\.0\.tasks: .* at least one, got none/)
  assert.match(message([notWorse, { ...notWorse, margin: -1 }]), /rules\.1\.margin: .* got -1/)
  assert.match(message([{ ...notWorse, alpha: 0.5 }]), /rules\.0\.alpha: .* 0 and 0\.5, got 0\.5/)
  assert.match(message([]), /expected 1 to 200 rules, got 0/)
  assert.match(
    message([notWorse, { ...notWorse, alpha: 0.01 }], { adjust: 'HOLM' }),
    /one alpha for all rules, got 0\.05, 0\.01/,
  )
})

test('where too many documents have no pair, or all, the rule stays undecided', () => {
  const judged = (paired: Paired) => gate([task('a', paired)], [notWorse]).judgements[0]!
  assert.equal(judged(flips(20, 18, 1000, 5)).verdict, 'PASS')
  const partial = judged(flips(20, 18, 1000, 50))
  assert.equal(partial.verdict, 'UNDECIDED')
  assert.match(partial.reason, /50 of 1050 documents have no pair/)
  const none = judged(pairedOf({ baseline: [NaN], candidate: [1] }))
  assert.deepEqual([none.verdict, none.n, none.needed], ['UNDECIDED', 0, null])
})

test('Holm asks more of each rule when there are several', () => {
  const one = flips(30, 15, 1000) // p about 0.013
  const comparison = [
    task('a', one),
    task('b', flips(26, 15, 1000)),
    task('c', flips(20, 18, 1000)),
  ]
  const rules = ['a', 'b', 'c'].map((name) => ({ ...better, task: name }))
  const verdicts = (adjust: 'NONE' | 'HOLM') =>
    gate(comparison, rules, { adjust }).judgements.map(({ verdict }) => verdict)
  assert.deepEqual(verdicts('NONE'), ['PASS', 'PASS', 'UNDECIDED'])
  assert.deepEqual(verdicts('HOLM'), ['PASS', 'UNDECIDED', 'UNDECIDED'])
})

test('a suite of graded tasks has the analytic interval, near the stratified bootstrap', () => {
  const [, { values, shares }] = golden.bca as [unknown, (typeof golden.bca)[0]]
  const tasks = values.map((differences) => ({
    paired: pairedOf({
      baseline: differences.map(() => 0),
      candidate: differences,
      bounded: false,
    }),
  }))
  const suite = differSuite(tasks)!
  const members = tasks.map(({ paired: { n, candidate, deviation } }) => ({
    n,
    mean: candidate,
    standardError: deviation! / Math.sqrt(n),
  }))
  const expected = aggregate(members, 'EQUALLY')!
  near(suite.difference, expected.mean, 1e-15, 'difference')
  near(suite.standardError!, expected.standardError!, 1e-15, 'standard error')
  near(suite.low, expected.mean - z * expected.standardError!, 1e-12, 'low')
  const bootstrap = bootstrapInterval(
    values.map((stratum, i) => ({ values: stratum, share: shares[i]! })),
  )
  near(suite.low, bootstrap.low, 0.25 * suite.standardError!, 'bootstrap low')
  near(suite.high, bootstrap.high, 0.25 * suite.standardError!, 'bootstrap high')
  const alone = suiteMean(members)!
  near(alone.mean, suite.difference, 1e-15, 'mean')
  near(alone.interval!.low, suite.low, 1e-12, 'its own interval')
})

test('a suite of one is its task, an unchanged suite keeps an interval, and a suite without a member is none', () => {
  const paired = flips(12, 5, 300)
  const [suite, own] = [differSuite([{ paired }])!, differ(paired)!]
  near(suite.low, own.low, 1e-15, 'low')
  near(suite.high, own.high, 1e-15, 'high')
  const unchanged = differSuite([{ paired: flips(0, 0, 500) }, { paired: flips(0, 0, 500) }])!
  near(unchanged.high, (z * z) / (500 + z * z) / Math.SQRT2, 1e-12, 'unchanged')
  assert.equal(differSuite([{ paired }, { paired: { ...paired, n: 0 } }]), null)
})

test('a mean of suite means is a suite of weights', () => {
  const of = (gained: number) => ({ paired: flips(gained, 5, 300) })
  const one = differSuite([of(10)])!.difference
  const two = differSuite([of(20), of(30)])!.difference
  const both = differSuite([
    { ...of(10), weight: 1 },
    { ...of(20), weight: 0.5 },
    { ...of(30), weight: 0.5 },
  ])!
  near(both.difference, (one + two) / 2, 1e-15, 'difference')
})

test('a rule without a task is about the suite of all tasks', () => {
  const comparison = [task('a', flips(30, 15, 1000)), task('b', flips(26, 15, 1000))]
  const { judgements, verdict } = gate(comparison, [better, { ...better, tasks: ['b', 'a'] }])
  assert.equal(verdict, 'PASS')
  near(judgements[0]!.difference, (0.015 + 0.011) / 2, 1e-15, 'difference')
  assert.match(judgements[0]!.reason, /^PASS suite of 2: .* n 2000: superior by more than 0$/)
  assert.deepEqual({ ...judgements[1], rule: null }, { ...judgements[0], rule: null })
})

test('a suite weighs its tasks as the rule says', () => {
  const comparison = [task('a', flips(30, 15, 1000)), task('b', flips(26, 15, 1000))]
  const { judgements } = gate(comparison, [{ ...better, weights: { b: 3 } }])
  near(judgements[0]!.difference, (0.015 + 3 * 0.011) / 4, 1e-15, 'difference')
  for (const weights of [{ b: 0 }, { c: 1 }] as Record<string, number>[])
    assert.throws(() => gate(comparison, [{ ...better, weights }]), /rules\.0\.weights: .* got/)
})
