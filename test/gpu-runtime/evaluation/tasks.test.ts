import assert from 'node:assert/strict'
import test from 'node:test'
import { findTask, taskTable } from '#gpu-runtime/evaluation/tasks/table.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { taskNames, tasks } from '#schema/tasks.ts'

/** The only thing a task asks of a model's text side. */
const text = {
  render: (messages, { addGenerationPrompt }) =>
    messages.map(({ role, content }) => `<${role}>${content}`).join('') +
    (addGenerationPrompt ? '<assistant>' : ''),
} as Pick<Text, 'render'> as Text

test('every task of the catalogue is implemented', () => {
  assert.deepEqual(Object.keys(taskTable).toSorted(), taskNames.toSorted())
  for (const [name, { kind, dialects }] of tasks) {
    assert.deepEqual(Object.keys(taskTable[name]!).toSorted(), dialects.toSorted(), name)
    for (const dialect of dialects) assert.equal(findTask(name, dialect).kind, kind, name)
  }
})

test('arc_easy asks in one line; digits are answer keys too', () => {
  const row = {
    question: 'Why?',
    choices: { text: ['No.', 'Grün 🚀'], label: ['1', '2'] },
    answerKey: '2',
  }
  assert.deepEqual(findTask('arc_easy', 'LM_EVAL').document(row, 0, text), {
    text: 'Question: Why?\nAnswer:',
    choices: ['No.', 'Grün 🚀'],
    gold: [1],
  })
})

test('openbookqa sends the stem as it is', () => {
  const row = {
    question_stem: 'To save money',
    choices: { text: ['spend', 'stay in'], label: ['A', 'B'] },
    answerKey: ' A',
  }
  assert.deepEqual(findTask('openbookqa', 'LM_EVAL').document(row, 0, text), {
    text: 'To save money',
    choices: ['spend', 'stay in'],
    gold: [0],
  })
})

test('who_is_bigger asks in the model’s chat format, and the choice is the answer', () => {
  const row = {
    messages: [{ role: 'user', content: 'Which?' }],
    choices: ['the ant', 'the horse'],
    gold: 1,
  }
  assert.deepEqual(findTask('who_is_bigger', 'LM_EVAL').document(row, 0, text), {
    text: '<user>Which?<assistant>',
    choices: ['the ant', 'the horse'],
    gold: [1],
  })
})

const arc = { question: 'Why?', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'A' }
const sizes = { messages: [{ role: 'user', content: 'Which?' }], choices: ['a', 'b'], gold: 0 }
const refused: [task: string, row: unknown, message: RegExp][] = [
  ['arc_easy', 'text', /^arc_easy: row 7 \(counted from 0\): expected an object/],
  ['arc_easy', { ...arc, question: undefined }, /no column question; found/],
  ['arc_easy', { ...arc, question: 5 }, /question is 5, expected text/],
  [
    'arc_easy',
    { ...arc, choices: ['a', 'b'] },
    /choices.text is undefined, expected a list of at least two texts/,
  ],
  [
    'arc_easy',
    { ...arc, choices: { text: ['a'], label: ['A'] } },
    /choices.text is \["a"\], expected a list of at least two texts/,
  ],
  [
    'arc_easy',
    { ...arc, choices: { text: ['a', 'b'], label: ['A', 'B', 'C'] } },
    /choices has 2 texts and 3 labels/,
  ],
  ['arc_easy', { ...arc, answerKey: 'C' }, /answerKey is "C", expected one of A, B/],
  [
    'openbookqa',
    arc,
    /^openbookqa: row 7 .*no column question_stem; found question, choices, answerKey/,
  ],
  ['who_is_bigger', { ...sizes, gold: 2 }, /gold is 2, expected an index below 2/],
  [
    'who_is_bigger',
    { ...sizes, messages: [] },
    /messages is \[\], expected a list of \{ role, content \}/,
  ],
  [
    'who_is_bigger',
    { ...sizes, messages: [{ role: 'user' }] },
    /messages is \[\{"role":"user"\}\], expected a list/,
  ],
]
for (const [task, row, message] of refused)
  test(`${task}: refused with its row: ${message.source}`, () => {
    assert.throws(() => findTask(task, 'LM_EVAL').document(row, 7, text), {
      name: 'FormatError',
      message,
    })
  })
