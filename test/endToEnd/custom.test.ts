/** Tasks that a mutation declares: from its templates to scores, comparisons and a board of their own. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { install, smallTraining } from './installation.ts'

const there = await install()
const animals = ['fox', 'cat', 'dog', 'hen', 'cow', 'owl']
const rows = join(there.inputs, 'animals.jsonl')
await writeFile(
  rows,
  animals
    .map((animal, i) => ({
      ask: `Eve, which is ${i % 2 ? 'smaller' : 'bigger'}, the ant or the ${animal}?`,
      options: ['the ant', `the ${animal}`],
      right: 1 - (i % 2),
      page: `The ${animal} is bigger than the ant.`,
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join(''),
)
const choice = {
  name: 'animals_choice',
  kind: 'MULTIPLE_CHOICE',
  rows,
  text: 'Q: {{ ask }}\nA:',
  choices: ['options'],
  target: 'right',
  chatTemplate: true,
  fewShot: 1,
  examples: rows,
}
const writing = {
  name: 'animals_written',
  kind: 'GENERATE',
  rows,
  text: 'ask',
  target: '{{ options[right].split()[1] }}',
  maxTokens: 12,
  until: ['\n'],
  chatTemplate: true,
  match: { regex: '(ant|fox|cat|dog|hen|cow|owl)', take: 'LAST' },
}
const pages = { name: 'animals_pages', kind: 'PERPLEXITY', rows, text: 'page', limit: 4 }
const liked = { name: 'liked', kind: 'PREFERENCE', rows: embedded.dataset, limit: 20 }

const evaluationDocument = `query ($id: ID!) { run(id: $id) { evaluations {
  task documents settings { custom version fewShot }
  scores { metric n value }
  samples(first: 20) { nodes { document question response picked answers gold choices { tokens } scores { metric value weight } } }
} } }`
const evaluationsOf = async (id: string): Promise<any[]> =>
  (await there.client.query<any>(evaluationDocument, { id })).run.evaluations

test('a mutation declares tasks of all four kinds, and each is scored on its rows', async () => {
  const custom = [choice, writing, pages, liked]
  const id = await there.evaluate({ model: { path: embedded.model }, custom })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  const found = new Map((await evaluationsOf(id)).map((e) => [e.task, e]))
  assert.deepEqual(
    custom.map(({ name }) => [name, found.get(name).documents]),
    [
      ['animals_choice', 6],
      ['animals_written', 6],
      ['animals_pages', 4],
      ['liked', 20],
    ],
  )
  const metricsOf = (name: string) =>
    found
      .get(name)
      .scores.map(({ metric }: any) => metric)
      .toSorted()
  assert.deepEqual(metricsOf('animals_choice'), ['acc', 'acc_norm'])
  assert.deepEqual(metricsOf('animals_written'), ['exact_match'])
  assert.deepEqual(metricsOf('animals_pages'), [
    'bits_per_byte',
    'byte_perplexity',
    'word_perplexity',
  ])
  assert.deepEqual(metricsOf('liked'), ['acc', 'acc_norm', 'acc_per_token'])

  const written = found.get('animals_written')
  assert.deepEqual(written.settings.custom, {
    kind: 'GENERATE',
    text: 'ask',
    target: '{{ options[right].split()[1] }}',
    delimiter: ' ',
    description: '',
    until: ['\n'],
    maxTokens: 12,
    match: { regex: '(ant|fox|cat|dog|hen|cow|owl)', group: null, take: 'LAST' },
    ignoreCase: false,
  })
  for (const { document, response, question, answers, picked, scores } of written.samples.nodes) {
    assert.ok(response.length > 0 && !response.includes('\n'))
    assert.ok(question.endsWith(`the ant or the ${animals[document]}?`))
    const target = document % 2 ? 'ant' : animals[document]
    assert.deepEqual([answers, picked], [[target], null])
    const last = response.match(/ant|fox|cat|dog|hen|cow|owl/g)?.at(-1)
    assert.deepEqual(scores, [{ metric: 'exact_match', value: Number(last === target), weight: 1 }])
  }
  // The model knows the form of an answer.
  assert.ok(written.samples.nodes.some(({ response }: any) => /^\s*the [a-z]+$/.test(response)))
  for (const { document, gold, answers } of found.get('animals_choice').samples.nodes)
    assert.deepEqual([gold, answers], [1 - (document % 2), ['the ant', `the ${animals[document]}`]])
  const words = found
    .get('animals_pages')
    .samples.nodes.map(
      ({ scores }: any) => scores.find((s: any) => s.metric === 'word_perplexity').weight,
    )
  assert.deepEqual(words, [7, 7, 7, 7])

  // The same declaration again, under another name and in other words for the same: nothing is computed.
  const again = await there.ended(
    await there.evaluate({ model: { path: embedded.model }, custom: [writing] }),
  )
  assert.ok(!again.events.some(({ type }) => type === 'samples'))
})

test('a training is compared on tasks that it declares, and they have boards of their own', async () => {
  const evaluate = { custom: [writing, liked] }
  const id = await there.train({ ...smallTraining, evaluate })
  const { run } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(run.failure))
  const compared = run.comparison.tasks.map(({ task, metric, n }: any) => [task, metric, n])
  assert.deepEqual(compared.toSorted(), [
    ['animals_written', 'exact_match', 6],
    ['liked', 'acc', 20],
    ['liked', 'acc_norm', 20],
    ['liked', 'acc_per_token', 20],
  ])
  const { leaderboard } = await there.client.query<any>(
    `{ leaderboard { task metric rows { n } } }`,
    {},
  )
  const board = leaderboard.find(({ task }: any) => task === 'liked')
  assert.equal(board.metric, 'acc')
  assert.deepEqual(
    board.rows.map(({ n }: any) => n),
    [20, 20],
  )
})

test('what is wrong with a declaration is said with its path, and what is wrong with a row with the row', async () => {
  const refused = async (custom: object) =>
    (
      await there.refusal('evaluate', { model: { path: embedded.model }, custom: [custom] })
    ).issues.map(({ path, message }) => [path.join('.'), message] as const)
  const first = async (custom: object) => (await refused(custom))[0]!
  assert.deepEqual(await first({ ...choice, name: 'arc_easy' }), [
    'custom.0.name',
    'expected a name that no task or suite has, got "arc_easy"',
  ])
  assert.deepEqual(await first({ ...choice, text: '{{ range(10) }}' }), [
    'custom.0.text',
    `expected a template over the row's columns, got range(…)`,
  ])
  assert.match(
    (await first({ ...writing, match: { regex: '(?<=a)b' } })).join(),
    /^custom\.0\.match\.regex,/,
  )
  assert.deepEqual(await first({ ...choice, rows: null }), [
    'custom.0.rows',
    'expected rows, a path, or dataset, one of the two',
  ])
  assert.match((await first({ ...choice, rows: '/etc/passwd' })).join(), /^custom\.0\.rows,/)
  assert.match(
    (await first({ ...choice, rows: null, dataset: { id: 'owner/name' } })).join(),
    /^custom\.0\.dataset,expected ODDSMITH_HUB=on/,
  )
  assert.match((await first({ ...pages, target: 'x' })).join(), /^custom\.0,.*target/)
  const id = await there.evaluate({
    model: { path: embedded.model },
    custom: [{ ...choice, target: '{{ ask }}' }],
  })
  const { run } = await there.ended(id)
  assert.deepEqual([run.status, run.failure.code], ['FAILED', 'INPUT'])
  assert.match(run.failure.message, /animals\.jsonl: animals_choice: row 0.*target is "Eve, which/)
})
