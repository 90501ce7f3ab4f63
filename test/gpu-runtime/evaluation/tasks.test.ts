import assert from 'node:assert/strict'
import test from 'node:test'
import { findTask, taskTable } from '#gpu-runtime/evaluation/tasks/table.ts'
import { judgeChoices, type ChoiceTask } from '#gpu-runtime/evaluation/tasks/task.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { taskNames, tasks, type TaskDialect } from '#schema/tasks.ts'

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

/** Scores of these log-likelihoods. */
const judge = (task: string, dialect: TaskDialect, row: unknown, ...lls: number[]) => {
  const found = findTask(task, dialect) as ChoiceTask
  const scores = lls.map((logLikelihood) => ({ logLikelihood, tokens: [], greedy: false }))
  const document = found.document(row, 0, text)
  return found.judge?.(document, scores) ?? judgeChoices(document, scores)
}

test('hellaswag is cleaned as Python does it: a mark at the beginning leaves a blank', () => {
  const row = {
    activity_label: 'Cooking',
    ctx_a: '[header] How to [title] Boil.',
    ctx_b: 'the EGG',
    endings: ['[title] Wait.  Eat it.', ' [step] Run', 'go', 'stop'],
    label: '3',
  }
  // Made by process_docs of lm_eval/tasks/hellaswag/utils.py, 0.4.13.
  assert.deepEqual(findTask('hellaswag', 'LM_EVAL').document(row, 0, text), {
    text: 'Cooking: How to. Boil. The egg',
    choices: [' Wait. Eat it.', ' Run', 'go', 'stop'],
    gold: [3],
  })
})

test('winogrande asks for one continuation after two contexts', () => {
  const row = { sentence: 'Ann saw Bo so _ ran. ', option1: 'Ann', option2: 'Bo', answer: '2' }
  const document = findTask('winogrande', 'LM_EVAL').document(row, 0, text)
  assert.deepEqual(document, {
    text: ['Ann saw Bo so Ann', 'Ann saw Bo so Bo'],
    choices: ['ran.', 'ran.'],
    gold: [1],
  })
})

test('boolq: of equals the harness of today picks "no", the first, and 0.3.0 "no" too, the second', () => {
  const row = { passage: 'P -- p', question: 'is it', label: 0 }
  assert.deepEqual(judge('boolq', 'LM_EVAL', row, -1, -1), { scores: { acc: 1 }, picked: 0 })
  assert.deepEqual(judge('boolq', 'NOUS', row, -1, -1), { scores: { acc: 1 }, picked: 1 })
  assert.deepEqual(judge('boolq', 'NOUS', row, -1, -2), { scores: { acc: 0 }, picked: 0 })
})

test('mc2: 0.3.0 holds everything from the first false choice for false, today’s harness what is labelled so', () => {
  const row = {
    question: 'Q?',
    mc1_targets: { choices: ['a', 'b'], labels: [1, 0] },
    mc2_targets: { choices: ['a', 'b', 'c', 'd'], labels: [1, 0, 1, 0] },
  }
  const [half, quarter, eighth] = [0.5, 0.25, 0.125].map(Math.log) as [number, number, number]
  const { scores } = judge('truthfulqa_mc2', 'LM_EVAL', row, half, quarter, eighth, eighth)
  assert.ok(Math.abs(scores.acc! - 0.625) < 1e-15)
  const both = judge('truthfulqa_mc', 'NOUS', row, -2, -1, half, quarter, eighth, eighth).scores
  assert.equal(both.mc1, 0)
  assert.ok(Math.abs(both.mc2! - 0.5) < 1e-15)
})

test('mc2 of choices that are too unlikely for a double is their quotient still', () => {
  const row = { question: 'Q?', mc2_targets: { choices: ['a', 'b'], labels: [1, 0] } }
  const { scores } = judge('truthfulqa_mc2', 'LM_EVAL', row, -2000, -2000)
  assert.equal(scores.acc, 0.5)
})

test('agieval: any of several right choices is right, by the choice’s length with its letter', () => {
  const row = { query: 'Q', choices: ['(A)1', '(B)12345', '(C)1'], gold: [1, 2] }
  assert.deepEqual(judge('agieval_sat_math', 'NOUS', row, -1, -1.5, -2), {
    scores: { acc: 0, acc_norm: 1 },
    picked: 0,
  })
})

test('lambada asks for the last word, and scores whether it would be written', () => {
  const task = findTask('lambada_openai', 'LM_EVAL') as ChoiceTask
  const document = task.document({ text: 'said  Ann to Bo' }, 0, text)
  assert.deepEqual(document, { text: 'said  Ann to', choices: [' Bo'], gold: [0] })
  assert.deepEqual(task.document({ text: 'Bo' }, 0, text).text, '')
  assert.deepEqual(task.judge!(document, [{ logLikelihood: -3, tokens: [-3], greedy: true }]), {
    scores: { perplexity: -3, acc: 1 },
  })
})

test('wikitext is scored without its tokenizer’s spaces, and words are those of the page', () => {
  const page = ' = A = \n \n It \'s " quoted " ( 1 @,@ 000 @-@ fold ) , [ N N ] : { x } .\n'
  // Made by wikitext_detokenizer of lm_eval/tasks/wikitext/preprocess_wikitext.py, 0.4.13.
  assert.deepEqual(findTask('wikitext', 'LM_EVAL').document({ page }, 0, text), {
    text: ' = A =\n\nIt\'s "quoted" (1,000-fold), [N N]: {x} .\n',
    words: 27,
    bytes: page.length,
  })
})

const arc = { question: 'Why?', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'A' }
const sizes = { messages: [{ role: 'user', content: 'Which?' }], choices: ['a', 'b'], gold: 0 }
const swag = { activity_label: 'l', ctx_a: 'a', ctx_b: '', endings: ['a', 'b'], label: 0 }
const gap = { sentence: 'a _ b', option1: '1', option2: '2', answer: '1' }
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
  ['hellaswag', { ...swag, label: '' }, /label is "", expected an index below 2/],
  ['hellaswag', { ...swag, label: 2 }, /label is 2, expected an index below 2/],
  [
    'piqa',
    { goal: 'g', sol1: 'a', sol2: 'b', label: -1 },
    /label is -1, expected an index below 2/,
  ],
  ['winogrande', { ...gap, sentence: 'a' }, /sentence is "a", expected a "_" in it/],
  ['winogrande', { ...gap, answer: '3' }, /answer is "3", expected "1" or "2"/],
  [
    'agieval_aqua_rat',
    { query: 'q', choices: ['a', 'b'], gold: [0, 2] },
    /gold is \[0,2\], expected a list of indices below 2/,
  ],
  [
    'truthfulqa_mc1',
    { question: 'q', mc1_targets: { choices: ['a', 'b'], labels: [0, 1] } },
    /mc1_targets.labels is \[0,1\], expected a 0 or 1 for each of 2 choices, and a 1 first/,
  ],
  ['lambada_openai', { text: '' }, /text is "", expected text/],
  ['wikitext', { text: '' }, /no column page; found text/],
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
