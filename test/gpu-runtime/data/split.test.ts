import assert from 'node:assert/strict'
import test from 'node:test'
import { split } from '#gpu-runtime/data/split.ts'

const all = { shuffle: true, seed: 42, limit: null, testSize: 0.1 }

test('train and test together are the rows, each once, and the same every time', () => {
  const { train, test: held } = split(100, all)
  assert.deepEqual([train.length, held.length], [90, 10])
  assert.deepEqual(
    [...train, ...held].toSorted((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  )
  assert.deepEqual(split(100, all), { train, test: held })
  assert.notDeepEqual(split(100, { ...all, seed: 43 }).train, train)
})

test('a limit takes the first of the shuffled rows; unshuffled rows keep their order', () => {
  const { train, test: held } = split(100, all)
  const limited = split(100, { ...all, limit: 20, testSize: 2 })
  assert.deepEqual([...limited.train, ...limited.test], [...train, ...held].slice(0, 20))
  assert.deepEqual(split(5, { shuffle: false, seed: 0, limit: 4, testSize: 1 }), {
    train: Int32Array.of(0, 1, 2),
    test: Int32Array.of(3),
  })
  assert.equal(split(3, { ...all, limit: 10 }).train.length, 2)
})

test('a fraction is rounded up but leaves a row to train on; zero holds out none', () => {
  const sizes = (count: number, testSize: number) => {
    const { train, test: held } = split(count, { ...all, testSize })
    return [train.length, held.length]
  }
  assert.deepEqual(sizes(1000, 0.01), [990, 10]) // the article's split
  assert.deepEqual(sizes(101, 0.01), [99, 2])
  assert.deepEqual(sizes(1, 0.5), [1, 0])
  assert.deepEqual(sizes(7, 0), [7, 0])
  assert.deepEqual(sizes(7, 3), [4, 3])
})

test('a split that leaves nothing to train on is refused', () => {
  const refuse = (count: number, options: object, message: RegExp) =>
    assert.throws(() => split(count, { ...all, ...options }), { name: 'FormatError', message })
  refuse(0, {}, /the dataset has no rows/)
  refuse(5, { testSize: 5 }, /testSize 5 of 5 rows leaves none to train on/)
  refuse(5, { testSize: 1.5 }, /testSize is 1.5, expected a fraction below 1 or a whole number/)
  refuse(5, { testSize: -1 }, /testSize is -1/)
})
