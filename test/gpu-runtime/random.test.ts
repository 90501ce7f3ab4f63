import assert from 'node:assert/strict'
import test from 'node:test'
import { philox, stream } from '#gpu-runtime/random.ts'

test('Philox4x32-10 gives the known answers of Random123', () => {
  // kat_vectors of Random123 1.14, lines "philox4x32 10"
  assert.deepEqual(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
  const ones = 0xffffffff
  assert.deepEqual(
    philox([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  )
  assert.deepEqual(
    philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  )
})

test('a number depends on seed, path, kind and counter, not on what was drawn before', () => {
  const a = stream(42, 'lora/q_proj')
  const forward = [0, 1, 2, 3, 4, 5].map((i) => [a.uint32(i), a.uniform(i), a.normal(i)])
  const backward = [5, 4, 3, 2, 1, 0].map((i) => {
    const fresh = stream(42, 'lora/q_proj')
    return [fresh.uint32(i), fresh.uniform(i), fresh.normal(i)]
  })
  assert.deepEqual(backward.reverse(), forward)
  assert.equal(new Set(forward.flat()).size, 18)
  for (const other of [stream(43, 'lora/q_proj'), stream(42, 'lora/k_proj')])
    assert.notEqual(other.uint32(0), a.uint32(0))
  assert.notEqual(a.uint32(4 * 2 ** 32), a.uint32(0)) // the counter's high word is used
})

test('seeds that could not be told apart are refused', () => {
  for (const seed of [-1, 0.5, 2 ** 53, NaN]) assert.throws(() => stream(seed, ''), RangeError)
})

test('uniform numbers are in [0, 1) with mean 1/2 and variance 1/12; normal ones have mean 0, variance 1 and kurtosis 3', () => {
  const n = 100_000
  const random = stream(7, 'moments')
  const moments = (draw: (i: number) => number) => {
    const values = Float64Array.from({ length: n }, (_, i) => draw(i))
    const mean = values.reduce((sum, x) => sum + x, 0) / n
    const about = (power: number) => values.reduce((sum, x) => sum + (x - mean) ** power, 0) / n
    return { mean, variance: about(2), kurtosis: about(4) / about(2) ** 2, values }
  }
  const uniform = moments(random.uniform)
  assert.ok(uniform.values.every((x) => x >= 0 && x < 1))
  assert.ok(Math.abs(uniform.mean - 1 / 2) < 5 * Math.sqrt(1 / 12 / n)) // five standard errors
  assert.ok(Math.abs(uniform.variance - 1 / 12) < 0.002)
  const normal = moments(random.normal)
  assert.ok(Math.abs(normal.mean) < 5 / Math.sqrt(n))
  assert.ok(Math.abs(normal.variance - 1) < 5 * Math.sqrt(2 / n))
  assert.ok(Math.abs(normal.kurtosis - 3) < 5 * Math.sqrt(24 / n))
})

test('a shuffle is a permutation, and each element is equally often first', () => {
  const order = stream(1, 'rows').shuffle(1000)
  assert.deepEqual(
    order.toSorted(),
    Int32Array.from({ length: 1000 }, (_, i) => i),
  )
  assert.deepEqual([...stream(1, 'rows').shuffle(0)], [])
  const counts = [0, 0, 0, 0]
  for (let seed = 0; seed < 4000; seed++) counts[stream(seed, 'rows').shuffle(4)[0]!]!++
  const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  assert.ok(chiSquare < 16.27, `${counts}`) // p = 0.001 at three degrees of freedom
})

test('integers below n take every value', () => {
  const random = stream(3, 'below')
  assert.deepEqual(
    [...new Set(Array.from({ length: 200 }, (_, i) => random.below(6, i)))].toSorted(),
    [0, 1, 2, 3, 4, 5],
  )
})
