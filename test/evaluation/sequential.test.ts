/** Early stopping: certainty against every possible rest of the samples, the interval's coverage by simulation. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { gate } from '#api/evaluation/gate.ts'
import { pairedOf } from '#api/evaluation/paired.ts'
import { pythonRandom } from '#api/evaluation/pythonRandom.ts'
import { sequentialVerdict, shares, type SequentialRule } from '#api/evaluation/sequential.ts'
import { boundOf, type Verdict } from '#api/evaluation/verdict.ts'

const better: SequentialRule = {
  kind: 'SUPERIORITY',
  margin: 0,
  alpha: 0.05,
  target: 'POPULATION',
  binary: true,
}
const notWorse: SequentialRule = { ...better, kind: 'NON_INFERIORITY', margin: 0.3 }

/** All multisets of `count` values, smallest first: order does not matter to a verdict. */
function* rests(values: readonly number[], count: number): Generator<number[]> {
  if (count === 0) yield []
  else
    for (const [i, value] of values.entries())
      for (const rest of rests(values.slice(i), count - 1)) yield [value, ...rest]
}

/** What is said of all documents, by the gate or by the benchmark's mean itself. */
function final(differences: readonly number[], rule: SequentialRule): Verdict {
  if (rule.target === 'BENCHMARK') {
    const mean = differences.reduce((sum, d) => sum + d, 0) / differences.length
    return mean > boundOf(rule) + 1e-12 ? 'PASS' : 'FAIL'
  }
  // A baseline of ½ keeps halves graded; right and wrong are 0/1 on both sides.
  const sides = differences.map((d) =>
    rule.binary ? [Number(d < 0), Number(d > 0)] : [(1 - d) / 2, (1 + d) / 2],
  )
  const paired = pairedOf({
    baseline: sides.map(([x]) => x!),
    candidate: sides.map(([, y]) => y!),
  })
  const metrics = { acc: { ...paired, binary: rule.binary } }
  return gate([{ task: 'a', headline: 'acc', metrics }], [{ ...rule, alpha: shares(rule).last }])
    .verdict
}

test('CERTAIN is said exactly when every possible rest of the samples gives the same verdict', () => {
  const said = new Map<string, number>()
  for (const [values, total, binary] of [
    [[-1, 0, 1], 9, true],
    [[-1, -0.5, 0, 0.5, 1], 6, false],
  ] as const) {
    for (const base of [better, notWorse, { ...notWorse, alpha: 0.2 }, { ...better, alpha: 0.3 }])
      for (const target of ['POPULATION', 'BENCHMARK'] as const) {
        const rule = { ...base, target, binary, alpha: Math.min(0.45, 1.25 * base.alpha) }
        const verdicts = new Map<string, Verdict>()
        const finalOf = (differences: number[]): Verdict => {
          const key = String(differences.toSorted((a, b) => a - b))
          if (!verdicts.has(key)) verdicts.set(key, final(differences, rule))
          return verdicts.get(key)!
        }
        for (let used = 0; used <= total; used += 1)
          for (const seen of rests(values, used)) {
            const possible = new Set<Verdict>()
            for (const rest of rests(values, total - used))
              possible.add(finalOf([...seen, ...rest]))
            const got = sequentialVerdict(seen, total, rule)
            const what = `${rule.target} ${rule.kind} after ${seen.join(' ')} of ${total}`
            if (got.because === 'CERTAIN') {
              assert.deepEqual([...possible], [got.verdict], what)
              const key = `${target} ${String(binary)} ${got.verdict}`
              if (used < total) said.set(key, (said.get(key) ?? 0) + 1)
            } else if (binary || target === 'BENCHMARK') assert.ok(possible.size > 1, what)
            assert.equal(got.saved, total - used)
          }
      }
  }
  // Both targets and both kinds of score stopped early with each verdict that they can have.
  const kinds = [...said.keys()].toSorted()
  for (const binary of ['false', 'true'])
    for (const key of [
      `BENCHMARK ${binary} FAIL`,
      `BENCHMARK ${binary} PASS`,
      `POPULATION ${binary} FAIL`,
      `POPULATION ${binary} PASS`,
      `POPULATION ${binary} UNDECIDED`,
    ])
      assert.ok(kinds.includes(key), `${key} is among ${kinds.join(', ')}`)
})

type World = {
  readonly name: string
  /** Differences with mean exactly `mean`, drawn independently. */
  readonly draw: (random: () => number) => number
  readonly mean: number
}
const worlds: readonly World[] = [
  { name: 'few flips', mean: 0, draw: (r) => (r() < 0.06 ? (r() < 0.5 ? 1 : -1) : 0) },
  { name: 'many flips', mean: 0, draw: (r) => (r() < 0.5 ? (r() < 0.5 ? 1 : -1) : 0) },
  { name: 'skewed', mean: 0, draw: (r) => (r() < 0.1 ? 0.9 : -0.1) },
  { name: 'worse', mean: -0.05, draw: (r) => (r() < 0.05 ? -1 : 0) },
]

test('looking after every tenth document, either end misses the true mean in at most alpha of the runs', () => {
  const [total, alpha, repeats] = [300, 0.09, 400]
  for (const { name, draw, mean } of worlds) {
    let [below, above] = [0, 0]
    const random = pythonRandom(11)
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const differences = Array.from({ length: total }, () => draw(random))
      const rule = { ...better, binary: false, alpha: 5 * alpha } // a fifth is the looks'
      // The interval at the end is the intersection of those of all looks, document by document.
      const { low, high } = sequentialVerdict(differences, total, rule)
      if (low > mean) below += 1
      if (high < mean) above += 1
    }
    // 3 standard errors of a proportion of 400 at 0.09 are 0.043.
    for (const missed of [below, above])
      assert.ok(missed / repeats <= alpha + 0.043, `${name}: ${below} and ${above} of ${repeats}`)
  }
})

test('of a benchmark of known size the interval holds too, and ends as its mean', () => {
  const [total, alpha, repeats] = [200, 0.1, 300]
  const random = pythonRandom(12)
  let missed = 0
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const differences = Array.from({ length: total }, () => worlds[1]!.draw(random))
    const mean = differences.reduce((sum, d) => sum + d, 0) / total
    const rule: SequentialRule = { ...better, target: 'BENCHMARK', alpha }
    const part = sequentialVerdict(differences.slice(0, 120), total, rule)
    if (part.low > mean || part.high < mean) missed += 1
    if (repeat === 0) {
      const { low, high, verdict } = sequentialVerdict(differences, total, rule)
      assert.ok(high - low < 1e-9 && Math.abs(low - mean) < 1e-9, `${low} to ${high}, ${mean}`)
      assert.equal(verdict, mean > 0 ? 'PASS' : 'FAIL')
    }
  }
  assert.ok(missed / repeats <= 2 * alpha + 0.07, `${missed} of ${repeats}`)
})

test('the interval narrows from look to look', () => {
  const random = pythonRandom(13)
  const differences = Array.from({ length: 400 }, () => worlds[0]!.draw(random))
  let [low, high] = [-1, 1]
  for (let used = 0; used <= 400; used += 40) {
    const got = sequentialVerdict(differences.slice(0, used), 400, better)
    assert.ok(got.low >= low && got.high <= high, `after ${used}`)
    ;[low, high] = [got.low, got.high]
  }
})

/** The first look, every 20 documents, at which an evaluation may stop. */
function stop(differences: readonly number[], rule: SequentialRule) {
  for (let used = 0; ; used = Math.min(differences.length, used + 20)) {
    const got = sequentialVerdict(differences.slice(0, used), differences.length, rule)
    if (got.verdict !== 'CONTINUE') return got
  }
}

test('a big effect stops early, no effect is rarely mistaken for one, and every evaluation ends with a verdict', () => {
  const run = (gain: number, loss: number, rule: SequentialRule) => {
    const random = pythonRandom(14)
    const stops = Array.from({ length: 60 }, () =>
      stop(
        Array.from({ length: 1000 }, () => {
          const u = random()
          return u < gain ? 1 : u < gain + loss ? -1 : 0
        }),
        rule,
      ),
    )
    const count = (verdict: Verdict) => stops.filter((s) => s.verdict === verdict).length / 60
    const saved = stops.reduce((sum, s) => sum + s.saved, 0) / 60 / 1000
    return { pass: count('PASS'), fail: count('FAIL'), saved, stops }
  }
  const big = run(0.2, 0.05, better)
  assert.ok(big.pass === 1 && big.saved > 0.6, JSON.stringify({ ...big, stops: 0 }))
  assert.ok(big.stops.every(({ because }) => because === 'INTERVAL'))
  const harmful = run(0.02, 0.17, { ...notWorse, margin: 0.02 })
  assert.ok(harmful.fail === 1 && harmful.saved > 0.4, JSON.stringify({ ...harmful, stops: 0 }))
  // At the border of the claim a PASS is wrong. 3 standard errors of a proportion of 60 at 0.1 are 0.116.
  const none = run(0.1, 0.1, { ...better, alpha: 0.1 })
  assert.ok(none.pass <= 0.1 + 0.116, JSON.stringify({ ...none, stops: 0 }))
})

test('what cannot be a difference, or is one too many, is refused', () => {
  assert.throws(() => sequentialVerdict([0, 1.5], 9, { ...better, binary: false }), /got 1.5 at 1/)
  assert.throws(() => sequentialVerdict([0.5], 9, better), /expected -1, 0 or 1, got 0.5 at 0/)
  assert.throws(() => sequentialVerdict([0, 0], 1, better), /at most 1 differences, got 2/)
  assert.throws(() => sequentialVerdict([], 9, { ...better, alpha: 0 }), /0 < alpha < 0.5/)
})
