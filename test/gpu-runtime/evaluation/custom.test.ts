/**
 * Tasks that a run declares: the same requests and scores as lm-evaluation-harness' of the YAML that means
 * the same (test/golden/customTasks.py), and templates and patterns that cannot do harm.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { CustomTask, customMetrics } from '#schema/customTask.ts'
import { documentsOf } from '#gpu-runtime/evaluation/prepare.ts'
import { customTask } from '#gpu-runtime/evaluation/tasks/custom.ts'
import type { ChoiceTask, GenerationTask } from '#gpu-runtime/evaluation/tasks/task.ts'
import { template, within } from '#gpu-runtime/evaluation/template.ts'
import { readJson } from '../golden.ts'
import { styled, tagged, type Style } from './evaluationGolden.ts'
import { assertResults, hashOf, judgedOf, resultsOf, settingsOf } from './harness.ts'

type Declared = {
  declared: object
  requests: Record<string, string>
  responses?: string[]
  scores?: number[]
  results?: Record<string, number>
}
const golden = readJson<{
  rows: object[]
  variants: Record<string, Style>
  tasks: Record<string, Declared>
}>('customTasks')

const folder = await mkdtemp(join(tmpdir(), 'oddsmith-custom-'))
after(() => rm(folder, { recursive: true }))
const rows = join(folder, 'rows.jsonl')
await writeFile(rows, golden.rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
const signal = new AbortController().signal

/** -random.random() of random.seed(42): the first sixteen, as Python prints them. */
const pseudo = Float64Array.from(
  [
    0.6394267984578837, 0.025010755222666936, 0.27502931836911926, 0.22321073814882275,
    0.7364712141640124, 0.6766994874229113, 0.8921795677048454, 0.08693883262941615,
    0.4219218196852704, 0.029797219438070344, 0.21863797480360336, 0.5053552881033624,
    0.026535969683863625, 0.1988376506866485, 0.6498844377795232, 0.5449414806032167,
    0.2204406220406967, 0.5892656838759087, 0.8094304566778266, 0.006498759678061017,
    0.8058192518328079, 0.6981393949882269, 0.3402505165179919, 0.15547949981178155,
    0.9572130722067812, 0.33659454511262676, 0.09274584338014791, 0.09671637683346401,
    0.8474943663474598, 0.6037260313668911, 0.8071282732743802, 0.7297317866938179,
  ].map((x) => -x),
)

for (const [name, { declared, requests, responses, scores, results }] of Object.entries(
  golden.tasks,
))
  test(`${name}: requests and scores of the harness’ YAML task`, async () => {
    const custom = CustomTask.parse(declared)
    const task = customTask(name, custom)
    for (const [variant, hash] of Object.entries(requests)) {
      const style = styled(golden.variants[variant]!)
      const settings = settingsOf({ task: name, custom, ...style, limit: null })
      const examples = style.fewShot > 0 ? rows : null
      assert.equal(
        hashOf(await documentsOf(task, settings, { rows, examples }, tagged, signal)),
        hash,
        variant,
      )
    }
    const settings = settingsOf({ task: name, custom })
    const documents = await documentsOf(task, settings, { rows, examples: null }, tagged, signal)
    if (responses !== undefined) {
      const judged = documents.map(({ document }, i) =>
        (task as GenerationTask).judge(document as never, responses[i]!),
      )
      assert.deepEqual(
        judged.map((j) => j.scores.exact_match),
        scores,
      )
      assert.equal(new Set(scores).size, 2)
      return
    }
    const judged = judgedOf(task, documents, pseudo)
    assert.deepEqual(Object.keys(judged[0]!.scores), customMetrics[custom.kind])
    const found = resultsOf(judged)
    // It is ours alone.
    delete found['acc_per_token']
    delete found['acc_per_token_stderr']
    assertResults(found, results!)
  })

const preference = customTask('liked', { kind: 'PREFERENCE' }) as ChoiceTask
const judge = (chosen: readonly number[], rejected: readonly number[]) => {
  const document = { text: '', choices: ['abcd', 'ab'], gold: [0] }
  const scoreOf = (tokens: readonly number[]) => ({
    logLikelihood: tokens.reduce((a, b) => a + b, 0),
    tokens,
    greedy: false,
  })
  return preference.judge!(document, [scoreOf(chosen), scoreOf(rejected)])
}

test('a preference is right where the chosen answer is likelier: as it is, by characters, by tokens', () => {
  // -3 > -4; -0.75 > -2 a character; -3 < -2 a token.
  assert.deepEqual(judge([-3], [-2, -2]), {
    scores: { acc: 1, acc_norm: 1, acc_per_token: 0 },
    picked: 0,
  })
  // Equal answers are no preference: -2 and -2, and -2 and -2 a token; by characters -0.5 > -1.
  assert.deepEqual(judge([-2], [-2]).scores, { acc: 0, acc_norm: 1, acc_per_token: 0 })
  // -4 < -3, -1 > -1.5 a character.
  assert.deepEqual(judge([-4], [-3]), {
    scores: { acc: 0, acc_norm: 1, acc_per_token: 0 },
    picked: 1,
  })
})

const problems = (declared: object) =>
  CustomTask.safeParse(declared).error?.issues.map(({ path, message }) => [path.join('.'), message])
const generate = { kind: 'GENERATE', text: 'ask', target: 'a' }

test('a declaration with a template or a pattern that could take for ever is refused, with its place', () => {
  for (const [text, message] of [
    ['{% for i in range(1e9) %}x{% endfor %}', /got range\(…\)$/],
    ['{{ range(1000000000) | list }}', /got range\(…\)$/],
    ['{% set a = a ~ a %}', /got Set$/],
    ['{% macro f() %}{{ f() }}{% endmacro %}', /got Macro$/],
    ['{{ a|replace("", a) }}', /^expected .* got replace\(…\) of other than/],
    ['{{ a.replace("a", "aaaa") }}', /^expected .* got replace\(…\)/],
    ['{{ a | indent(100000000) }}', /got indent\(…\)$/],
    ['{{ namespace() }}', /got namespace\(…\)$/],
    ['{{ strftime_now("%Y") }}', /got strftime_now\(…\)$/],
    ['{{ a["upper"]() }}', /got a call\(…\)$/],
    ['{{ ask', /^expected a Jinja template: /],
  ] as const) {
    const [[path, said]] = problems({ ...generate, text }) as [[string, string]]
    assert.equal(path, 'text')
    assert.match(said, message)
  }
  for (const regex of ['(?=a)b', '(a)\\1', '(', 'a{2000}']) {
    const [[path, said]] = problems({ ...generate, match: { regex } }) as [[string, string]]
    assert.equal(path, 'match.regex')
    assert.match(said, /^expected a regular expression as RE2 has them/)
  }
  assert.equal(problems({ ...generate, maxTokens: 9000 })![0]![0], 'maxTokens')
  assert.equal(problems({ ...generate, text: 'x'.repeat(4001) })![0]![0], 'text')
})

test('a template sees the row, and nothing else', () => {
  const render = (text: string, row: object) => template('text', text)(row as never)
  assert.equal(
    render('{{ range }} {{ namespace }}', { range: 'of hills', namespace: 1 }),
    'of hills 1',
  )
  for (const name of ['process', 'globalThis', 'namespace', 'constructor', '__proto__', 'self'])
    assert.throws(() => render(`{{ ${name} }}`, { a: 1 }), {
      name: 'FormatError',
      message: `text: no column ${name}; found a`,
    })
  assert.equal(render('{{ a.constructor }}{{ a.__proto__ }}|', { a: 'x' }), '|')
  // Asked whether it is there, a column may be absent.
  const asked = '{% if b is defined %}{{ a }}{% endif %}{{ c | default("-") }}'
  assert.equal(render(asked, { a: 1 }), '-')
  // Line breaks stay as they are.
  assert.equal(render('{% if a %}\n x\n{% endif %}\n', { a: 1 }), '\n x\n\n')
})

test('what takes too long, or becomes too large, is ended by force', () => {
  const l = Array.from({ length: 100_000 }, (_, i) => i)
  const loop = (inside: string, ...names: string[]) =>
    names.reduce((body, name) => `{% for ${name} in l %}${body}{% endfor %}`, inside)
  const begin = performance.now()
  assert.throws(() => within(() => template('text', loop('', 'a', 'b', 'c'))({ l })), {
    name: 'FormatError',
    message: 'rendering took more than 2 s',
  })
  assert.ok(performance.now() - begin < 20_000)
  assert.throws(
    () => within(() => template('text', loop('{{ s }}', 'a'))({ l, s: 'x'.repeat(50) })),
    {
      name: 'FormatError',
      message: 'text: 5000000 characters, expected at most 1000000',
    },
  )
})

test('a pattern takes time that grows with the response', () => {
  const task = customTask('t', CustomTask.parse({ ...generate, match: { regex: '(a+)+$' } }))
  const begin = performance.now()
  const document = { text: '', target: 'b' }
  const { scores } = (task as GenerationTask).judge(document, `${'a'.repeat(20_000)}!`)
  assert.equal(scores.exact_match, 0)
  assert.ok(performance.now() - begin < 20_000)
})

test('what a row lacks is said with the task, the row and the field', () => {
  const choice = { kind: 'MULTIPLE_CHOICE', text: 'ask', choices: ['options'], target: 'answer' }
  const row = { ask: 'Which?', options: ['x', 'y'], answer: 1 }
  const made = (declared: object, value: object) =>
    customTask('mine', CustomTask.parse(declared)).document(value, 4, tagged)
  assert.deepEqual(made(choice, row), { text: 'Which?', choices: ['x', 'y'], gold: [1] })
  assert.deepEqual(made(choice, { ...row, answer: 'b' }).gold, [1])
  assert.deepEqual(made(choice, { ...row, answer: 'x' }).gold, [0])
  for (const [declared, value, message] of [
    [choice, { ...row, answer: 2 }, /^mine: row 4.*: target is "2", expected an index below 2/],
    [choice, { ...row, answer: 'C' }, /target is "C", expected/],
    [choice, { ...row, options: ['x'] }, /choices: options is \["x"\], expected a list/],
    [choice, { ...row, options: ['x', ''] }, /choice 1 is empty/],
    [{ ...choice, text: 'question' }, row, /^mine: row 4.*: text: no column question; found ask, /],
    [{ ...choice, text: '{{ ask }} {{ asks }}' }, row, /text: no column asks; found/],
    [{ kind: 'PERPLEXITY', text: 'page' }, { page: '' }, /text is empty/],
    [{ kind: 'PREFERENCE' }, { chosen: 'a' }, /^mine: row 4.*expected columns chosen and rejected/],
  ] as const)
    assert.throws(() => made(declared, value), { name: 'FormatError', message })
})
