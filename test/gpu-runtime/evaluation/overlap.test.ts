/** Benchmark questions that were planted among training rows are found, and nothing else is. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { OverlapIndex, runLength, telling, wordsOf } from '#gpu-runtime/evaluation/overlap.ts'

/** Texts of so many words, no word twice. */
const texts = (name: string, count: number, words: number) =>
  Array.from({ length: count }, (_, d) =>
    Array.from({ length: words }, (_, w) => `${name}${d}w${w}`).join(' '),
  )

test('words are lower case, without punctuation, cut at white space', () => {
  // What lm-evaluation-harness' Janitor.normalize_string and split() give.
  assert.deepEqual(wordsOf("Don't  stop:\n(now) 3.5% -- OK?"), ['dont', 'stop', 'now', '35', 'ok'])
})

test('runs have the 5th percentile of the documents in words, 8 to 13', () => {
  assert.equal(runLength([3, ...Array<number>(99).fill(40)]), 13)
  assert.equal(runLength([...Array<number>(10).fill(9), ...Array<number>(90).fill(40)]), 9)
  assert.equal(runLength(Array<number>(50).fill(4)), 8)
})

test('the question and the right answer would give it away', () => {
  assert.equal(telling({ text: 'q', choices: ['a', 'b'], gold: [1, 0] }), 'q b')
  assert.equal(telling({ text: ['one', 'two'], choices: ['a', 'b'], gold: [1] }), 'two b')
  assert.equal(telling({ text: 'q', target: '4' }), 'q 4')
  assert.equal(telling({ text: 'whole' }), 'whole')
})

test('verbatim, in other case and punctuation, and by halves: with the first row, and how much', () => {
  const long = texts('a', 40, 30)
  const short = texts('b', 40, 10)
  const index = new OverlapIndex([long, short])
  const planted: [row: number, text: string][] = [
    [0, texts('other', 1, 400)[0]!],
    [3, `before ${long[4]} after`],
    [5, long[9]!.toUpperCase().split(' ').join(', ') + '!'],
    [8, `${long[4]} again`],
    [9, long[12]!.split(' ').slice(0, 15).join(' ')],
    // 12 words are no run of 13, and words in another order are none at all.
    [10, long[20]!.split(' ').slice(0, 12).join(' ')],
    [11, long[21]!.split(' ').reverse().join(' ')],
    [12, short[7]!],
  ]
  for (const [row, text] of planted) index.show(text, 0, row)
  const [ofLong, ofShort] = index.overlaps()
  const found = (list: (typeof ofLong & {})[number][]) =>
    list.flatMap((overlap, d) => (overlap === null ? [] : [[d, overlap.row, overlap.overlap]]))
  assert.deepEqual(found(ofLong!), [
    [4, 3, 1],
    [9, 5, 1],
    [12, 9, 0.5],
  ])
  assert.deepEqual(found(ofShort!), [[7, 12, 1]])
})

test('what more than ten documents of a task have in common says nothing of any of them', () => {
  const frame = texts('frame', 1, 20)[0]!
  const count = (documents: number) => {
    const index = new OverlapIndex([texts('c', documents, 20).map((text) => `${frame} ${text}`)])
    index.show(frame, 0, 0)
    return index.overlaps()[0]!.filter((overlap) => overlap !== null).length
  }
  assert.deepEqual([count(10), count(11)], [10, 0])
})
