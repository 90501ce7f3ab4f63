import assert from 'node:assert/strict'
import test from 'node:test'
import { toPreference, type Message } from '#gpu-runtime/data/preference.ts'
import { readRows } from '#gpu-runtime/data/rows.ts'
import { shared, withoutShared } from '../shared.ts'

const user = (content: string): Message => ({ role: 'user', content })
const assistant = (content: string): Message => ({ role: 'assistant', content })
const system: Message = { role: 'system', content: 'Be brief.' }
const [u1, a1, u2, x, y] = [
  user('one'),
  assistant('first'),
  user('two'),
  assistant('good'),
  assistant('bad'),
]

const layouts: [name: string, row: object, prompt: Message[]][] = [
  ['messages in both columns', { chosen: [u1, x], rejected: [u1, y] }, [u1]],
  [
    'several turns',
    { chosen: [system, u1, a1, u2, x], rejected: [system, u1, a1, u2, y] },
    [system, u1, a1, u2],
  ],
  [
    'a prompt column that repeats the last turn',
    { prompt: 'two', chosen: [u1, a1, u2, x], rejected: [u1, a1, u2, y] },
    [u1, a1, u2],
  ],
  [
    'a prompt column that repeats the first turn',
    { prompt: 'one', chosen: [u1, a1, u2, x], rejected: [u1, a1, u2, y] },
    [u1, a1, u2],
  ],
  [
    'a prompt column that repeats all of it',
    { prompt: [u1, a1, u2], chosen: [u1, a1, u2, x], rejected: [u1, a1, u2, y] },
    [u1, a1, u2],
  ],
  [
    'a prompt column with earlier turns',
    { prompt: [system, u1, a1, u2], chosen: [u2, x], rejected: [u2, y] },
    [system, u1, a1, u2],
  ],
  [
    'a prompt column with the system message only',
    { prompt: [system], chosen: [u1, x], rejected: [u1, y] },
    [system, u1],
  ],
  [
    'a prompt column that the messages contradict',
    { prompt: 'other', chosen: [u1, x], rejected: [u1, y] },
    [u1],
  ],
  ['an empty prompt column', { prompt: '', chosen: [u1, x], rejected: [u1, y] }, [u1]],
  ['a prompt as text, answers as messages', { prompt: 'one', chosen: [x], rejected: [y] }, [u1]],
  [
    'a prompt as messages, answers as messages',
    { prompt: [system, u1], chosen: [x], rejected: [y] },
    [system, u1],
  ],
  [
    'a prompt as messages, answers as text',
    { prompt: [u1], chosen: 'good', rejected: 'bad' },
    [u1],
  ],
  ['three texts', { prompt: 'one', chosen: 'good', rejected: 'bad' }, [u1]],
  [
    'three texts, of which two repeat the prompt',
    { prompt: 'one', chosen: 'one\ngood', rejected: 'one \nbad' },
    [u1],
  ],
  [
    'more columns and fields than needed',
    { source: 's', question: 'q', chosen: [{ ...u1, id: 7 }, x], rejected: [u1, y] },
    [u1],
  ],
]
for (const [name, row, prompt] of layouts)
  test(`the prompt is found once in ${name}`, () => {
    const { given: _, ...preference } = toPreference(row, 3)
    assert.deepEqual(preference, { row: 3, prompt, chosen: [x], rejected: [y] })
  })

test('the columns stay at hand as the row has them', () => {
  const { given } = toPreference({ prompt: 'one', chosen: [u1, x], rejected: [u1, y] }, 3)
  assert.deepEqual(given, { prompt: 'one', chosen: [u1, x], rejected: [u1, y] })
  const text = { prompt: 'one', chosen: 'one\ngood', rejected: 'one\nbad' }
  assert.deepEqual(toPreference(text, 3).given, text)
  assert.equal(toPreference({ chosen: [u1, x], rejected: [u1, y] }, 3).given.prompt, null)
})

test('an answer that happens to begin like the prompt is not cut', () => {
  const { chosen } = toPreference({ prompt: 'Hi', chosen: 'Hi there', rejected: 'Hi!' }, 0)
  assert.deepEqual(chosen, [assistant('Hi there')])
})

const refused: [row: unknown, message: RegExp][] = [
  [
    'text',
    /^row 7 \(counted from 0\): expected an object with columns chosen and rejected, got text/,
  ],
  [[u1, x], /got a list/],
  [{}, /expected columns chosen and rejected \(and perhaps prompt\), found none/],
  [
    { instruction: 'a', output: 'b' },
    /expected columns chosen and rejected .*, found instruction, output/,
  ],
  [{ chosen: [u1, x] }, /found chosen$/],
  [{ chosen: [u1, x], rejected: null }, /found chosen, rejected$/],
  [
    { chosen: 5, rejected: [u1, y] },
    /chosen is a number, expected text or a list of \{ role, content \}/,
  ],
  [
    { chosen: [u1, 'good'], rejected: [u1, y] },
    /message 2 of chosen has role: missing and content: missing, expected text in both/,
  ],
  [
    { chosen: [u1, { role: 'assistant', content: null }], rejected: [u1, y] },
    /message 2 of chosen has role: text and content: null/,
  ],
  [
    { chosen: [u1, x], rejected: [u1, { role: 'assistant', content: [{ type: 'text' }] }] },
    /message 2 of rejected has .* content: a list/,
  ],
  [{ prompt: { text: 'one' }, chosen: 'good', rejected: 'bad' }, /prompt is an object/],
  [{ chosen: [], rejected: [u1, y] }, /chosen has no messages/],
  [
    { chosen: [u1, x, u2], rejected: [u1, y] },
    /the last message of chosen is from "user", expected "assistant"/,
  ],
  [{ chosen: [u1, assistant(' \n')], rejected: [u1, y] }, /the answer of chosen is empty/],
  [{ prompt: 'one', chosen: 'good', rejected: '' }, /the answer of rejected is empty/],
  [
    { chosen: [u1, x], rejected: [u2, y] },
    /the prompts differ: chosen \(2 messages\) and rejected \(2\) part at message 1/,
  ],
  [
    { chosen: [u1, a1, u2, x], rejected: [u1, y] },
    /the prompts differ: chosen \(4 messages\) and rejected \(2\) part at message 2/,
  ],
  [{ prompt: 'one', chosen: [u1, x], rejected: [y] }, /the prompts differ/],
  [{ chosen: [u1, x], rejected: [u1, x] }, /chosen and rejected are identical/],
  [{ prompt: 'one', chosen: 'same', rejected: 'same' }, /chosen and rejected are identical/],
  [
    { chosen: 'good', rejected: 'bad' },
    /no prompt: neither a prompt column nor messages before the answers/,
  ],
  [{ chosen: [x], rejected: [y] }, /no prompt/],
]
for (const [row, message] of refused)
  test(`refused with its row: ${message.source}`, () => {
    assert.throws(() => toPreference(row, 7), { name: 'FormatError', message })
  })

test('all 300 rows of a real set are preferences', { skip: withoutShared }, async () => {
  const turns = new Set<number>()
  let count = 0
  for await (const { row, value } of readRows(
    shared('data/preference-chatml/dpo_en_demo.chatml.jsonl'),
  )) {
    turns.add(toPreference(value, row).prompt.length)
    count++
  }
  assert.equal(count, 300)
  assert.ok(turns.size > 1, 'single-turn and multi-turn rows')
})
