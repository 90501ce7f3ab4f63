import assert from 'node:assert/strict'
import test from 'node:test'
import { sentences } from '#gpu-runtime/evaluation/ifeval/sentences.ts'
import { words } from '#gpu-runtime/evaluation/ifeval/words.ts'
import { instructions } from '#gpu-runtime/evaluation/ifeval/instructions.ts'
import { scores, verify } from '#gpu-runtime/evaluation/ifeval/verify.ts'
import { FormatError } from '#gpu-runtime/error.ts'
import { readJson } from '../../golden.ts'

type Golden = {
  texts: string[]
  sentences: [text: string, sentences: string[]][]
  words: [text: string, words: string[]][]
  /** A verdict is strict + 2 · loose. */
  cases: [id: string, kwargs: Record<string, unknown>, [text: number, verdict: number][]][]
}
const golden = readJson<Golden>('ifeval')

test('verdicts of every kind of instruction are lm-evaluation-harness’s', () => {
  assert.deepEqual(
    new Set(golden.cases.map(([id]) => id)),
    new Set(Object.keys(instructions)),
    'kinds in ifeval.json',
  )
  const wrong = golden.cases.flatMap(([id, kwargs, verdicts]) =>
    verdicts.flatMap(([text, expected]) => {
      const response = golden.texts[text]!
      const { strict, loose } = verify([id], [kwargs], '', response)
      const got = Number(strict[0]) + 2 * Number(loose[0])
      return got === expected ? [] : [{ id, kwargs, response, got, expected }]
    }),
  )
  assert.deepEqual(wrong, [])
})

test('sentences and words are NLTK’s', () => {
  for (const [text, expected] of golden.sentences) assert.deepEqual(sentences(text), expected)
  for (const [text, expected] of golden.words) assert.deepEqual(words(text), expected)
})

test('bad rows are refused with the prompt, the instruction and what was expected', () => {
  const refused = (ids: string[], kwargs: unknown[], message: RegExp) =>
    assert.throws(
      () => verify(ids, kwargs, 'Write a poem', 'x'),
      (error: Error) => error instanceof FormatError && message.test(error.message),
      String(message),
    )
  refused(
    ['keywords:rhyme'],
    [{}],
    /"Write a poem": instruction 1, "keywords:rhyme": expected one of .*keywords:existence/,
  )
  refused(['toString'], [{}], /expected one of/)
  refused(['punctuation:no_comma'], [], /kwargs has 0 entries, expected one for each of 1/)
  refused(['punctuation:no_comma'], [null], /kwargs is null, expected an object/)
  refused(
    ['punctuation:no_comma', 'length_constraints:number_words'],
    [{}, { relation: 'at least', num_words: 0 }],
    /instruction 2, .*num_words: .*expected (int|number)/,
  )
  refused(
    ['length_constraints:number_words'],
    [{ relation: 'at most', num_words: 5 }],
    /relation: .*"less than"\|"at least"/,
  )
  refused(['startend:quotation'], [{ end_phrase: 'x' }], /end_phrase/)
  refused(['language:response_language'], [{ language: 'xx' }], /language: .*"de"/)
  refused(
    ['keywords:existence'],
    [{ keywords: ['(a+)+$'] }],
    /keywords\.0: expected no syntax of regular expressions/,
  )
  refused(
    ['keywords:letter_frequency'],
    [{ letter: 'ab', let_frequency: 1, let_relation: 'at least' }],
    /letter: expected one character/,
  )
  refused(
    ['length_constraints:nth_paragraph_first_word'],
    [{ num_paragraphs: 2, nth_paragraph: 3, first_word: 'a' }],
    /nth_paragraph: expected at most num_paragraphs, 2, got 3/,
  )
})

test('arguments that are null, empty or 0 count as not given, as rows of the Hub have them', () => {
  const kwargs = { num_words: null, keywords: [], relation: '', num_bullets: 0, language: null }
  assert.deepEqual(verify(['punctuation:no_comma'], [kwargs], '', 'no commas'), {
    strict: [true],
    loose: [true],
  })
})

test('a character that is no letter is counted itself, where the reference takes a random letter', () => {
  const kwargs = { letter: '#', let_frequency: 4, let_relation: 'at least' }
  assert.deepEqual(verify(['keywords:letter_frequency'], [kwargs], '', '## a\n## b').strict, [true])
  assert.deepEqual(verify(['keywords:letter_frequency'], [kwargs], '', '## a\n# b').strict, [false])
})

test('prompts count when all their instructions were followed, instructions each by itself', () => {
  const verdicts = [
    { strict: [true, true, false], loose: [true, true, true] },
    { strict: [true], loose: [true] },
    { strict: [false], loose: [false] },
    { strict: [true, false], loose: [true, false] },
  ]
  assert.deepEqual(scores(verdicts), {
    prompt_level_strict_acc: 1 / 4,
    inst_level_strict_acc: 4 / 7,
    prompt_level_loose_acc: 2 / 4,
    inst_level_loose_acc: 5 / 7,
  })
})

/** What makes patterns and scans quadratic: long runs of what they begin with, and never their end. */
const units = [
  ' ',
  '\n',
  '\t\n',
  '*',
  '*\n',
  ' *',
  '-',
  '[',
  '<<',
  '\\"',
  "'",
  '.',
  '. ',
  '.)',
  '.]',
  ',',
  'Section 1',
  'alpha',
  'A',
  'p. ',
  '\u0301',
  '😀',
  '***',
  'a@',
  '{',
  'x.  ',
]
const arguments_: Record<keyof typeof instructions, Record<string, unknown>> = Object.fromEntries(
  golden.cases.map(([id, kwargs]) => [id, kwargs]),
) as never

test('no response of 100 kB takes a second', () => {
  const ids = Object.keys(instructions)
  const kwargs = ids.map((id) => arguments_[id as keyof typeof instructions])
  verify(ids, kwargs, '', 'The first reads the models.')
  for (const unit of units) {
    const text = `.${unit.repeat(100_000 / unit.length)}x\nY`
    for (const [i, id] of ids.entries()) {
      const started = process.cpuUsage()
      verify([id], [kwargs[i]], '', text)
      const { user, system } = process.cpuUsage(started)
      const took = (user + system) / 1000
      assert.ok(took < 1000, `${id} took ${took.toFixed(0)} ms on ${JSON.stringify(unit)}`)
    }
  }
})
