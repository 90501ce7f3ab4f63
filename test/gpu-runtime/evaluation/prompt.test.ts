/** Examples and chat layouts where files of rows do not lead to: current.test.ts holds the rest to the harness. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { FormatError } from '#gpu-runtime/error.ts'
import { chooseExamples, contextOf, type Style } from '#gpu-runtime/evaluation/prompt.ts'
import { pythonRandom } from '#gpu-runtime/evaluation/pythonRandom.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import type { ChoiceTask } from '#gpu-runtime/evaluation/tasks/task.ts'
import type { Text } from '#gpu-runtime/text/text.ts'
import { examplesOf, golden, rowsOf } from './evaluationGolden.ts'
import { rendered, settingsOf } from './harness.ts'

test('a question that is in its pool twice is never its own example', () => {
  // lm_eval.api.samplers.ContextSampler of 0.4.13: three times sample(2, 'q') after set_rnd(seed)
  const drawn = {
    0: ['bc', 'bc', 'ab'],
    1: ['ac', 'ab', 'bc'],
    2: ['ac', 'cb', 'ac'],
    3: ['cb', 'cb', 'ca'],
  }
  const pool = [...'aqqbc']
  for (const [seed, expected] of Object.entries(drawn)) {
    const random = pythonRandom(Number(seed))
    const found = expected.map(() =>
      chooseExamples(pool, 2, 'RANDOM', random, (item) => item === 'q').join(''),
    )
    assert.deepEqual(found, expected, `seed ${seed}`)
  }
  // FirstNSampler
  const random = pythonRandom(0)
  assert.deepEqual(
    chooseExamples(pool, 2, 'FIRST', random, (item) => item === 'q'),
    ['a', 'b'],
  )
  assert.deepEqual(chooseExamples(pool, 2, 'FIRST', random), ['a', 'q'])
})

test('a pool that is too small says how many rows it takes', () => {
  const choose = (pool: string[], isItself: ((item: string) => boolean) | null) =>
    chooseExamples(pool, 2, 'RANDOM', pythonRandom(0), isItself)
  assert.throws(() => choose(['a'], null), {
    name: 'FormatError',
    message: '2 examples: expected a file of at least 2, it has 1',
  })
  assert.throws(() => choose(['a', 'b'], (item) => item === 'q'), /at least 3, it has 2/)
  assert.throws(() => choose(['a', 'q', 'q'], (item) => item === 'q'), /at least 2, it has 1/)
})

test('a template that refuses the system message is asked without it', () => {
  const text = {
    render(messages) {
      if (messages[0]!.role === 'system') throw new FormatError('system role not supported')
      return messages.map(({ content }) => content).join('|')
    },
  } as Pick<Text, 'render'> as Text
  const style: Style = {
    chatTemplate: true,
    fewShotAsMultiturn: true,
    systemInstruction: 'Be brief.',
  }
  const task = findTask('piqa', 'LM_EVAL') as ChoiceTask
  const examples = [{ question: 'Why?', answer: 'So.' }]
  assert.equal(contextOf(task, 'How?', examples, style, text), 'Why?|So.|How?')
})

test('a limit changes neither the examples nor what they are drawn from', async () => {
  const asked = golden.tasks.lambada_openai!
  const rows = await rowsOf('lambada_openai', asked)
  const examples = await examplesOf('lambada_openai', asked, rows)
  for (const dialect of ['LM_EVAL', 'NOUS'] as const) {
    const of = (limit: number | null) =>
      rendered(settingsOf({ task: 'lambada_openai', dialect, fewShot: 3, limit }), rows, examples)
    assert.deepEqual(await of(2), (await of(null)).slice(0, 2), dialect)
  }
})
