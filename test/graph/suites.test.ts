import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { eq } from 'drizzle-orm'
import { suites } from '#schema/suites.ts'
import { runs, scores } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { answers, createWorld } from '#test/evaluation/world.ts'
import { install } from './installation.ts'

const here = await install()
const { db } = here.ctx
const world = await createWorld(db)

/** Each task's file, with content of its own. */
for (const [name, { rows }] of tasks)
  if (!name.startsWith('who')) await writeFile(join(here.files.root, rows), `{"of":"${name}"}\n`)

const evaluate = async (input: object) => {
  const { data, errors } = await here.ask(
    `mutation ($input: EvaluateInput!) { evaluate(input: $input) { __typename
      ... on InvalidInput { issues { path message } }
      ... on Run { id name tasks { settings { task dialect limit bos } rows } } } }`,
    { input: { idempotencyKey: randomUUID(), model: { path: here.files.model }, ...input } },
  )
  assert.equal(errors, undefined)
  return data.evaluate
}

test('the suites are listed with their parts, and with what they correct', async () => {
  const { data } = await here.ask(
    '{ suites { name title weighting meanOf roundsGroups groups { name tasks } corrections } }',
  )
  assert.deepEqual(
    data.suites.map(({ name }: { name: string }) => name),
    [...suites.keys()],
  )
  const [nous, fixed] = data.suites
  assert.deepEqual([nous.weighting, nous.meanOf, nous.roundsGroups], ['EQUALLY', 'GROUPS', true])
  assert.equal(nous.groups[3].tasks.length, 18)
  assert.equal(nous.corrections.length, 0)
  assert.match(fixed.corrections.join('\n'), /BOS.*\n.*750 rows.*\n.*two of 817/)
})

test('a suite is asked for as its tasks, in its own dialect, with settings for all of them', async () => {
  const run = await evaluate({ suites: [{ suite: 'nous', limit: 10 }] })
  assert.equal(run.__typename, 'Run')
  assert.equal(run.name, 'model: nous')
  assert.equal(run.tasks.length, 34)
  for (const { settings } of run.tasks)
    assert.deepEqual([settings.dialect, settings.limit, settings.bos], ['NOUS', 10, 'NEVER'])
  const rowsOf = (task: string) =>
    run.tasks.find((t: { settings: { task: string } }) => t.settings.task === task).rows
  // The same file twice, as upstream.
  assert.equal(
    rowsOf('bigbench_tracking_shuffled_objects_three_objects'),
    rowsOf('bigbench_logical_deduction_three_objects'),
  )
  const fixed = await evaluate({ suites: [{ suite: 'nous-fixed' }] })
  const bos = Map.groupBy(fixed.tasks, ({ settings }: any) => `${settings.dialect} ${settings.bos}`)
  assert.deepEqual(
    [...bos].map(([how, of]) => [how, of.length]),
    [
      ['LM_EVAL TOKENIZER', 16],
      ['NOUS TOKENIZER', 18],
    ],
  )
})

test('the corrected suite refuses the file that the suite has twice', async () => {
  const three = tasks.get('bigbench_tracking_shuffled_objects_three_objects')!.rows
  const file = join(here.files.root, three)
  await writeFile(file, '{"of":"bigbench_logical_deduction_three_objects"}\n')
  const { issues } = await evaluate({ suites: [{ suite: 'bigbench' }] })
  assert.deepEqual(issues[0].path, ['suites', '0'])
  assert.match(issues[0].message, /expected rows of its own, .* has those of bigbench_logical/)
  await writeFile(file, '{"of":"bigbench_tracking_shuffled_objects_three_objects"}\n')
  assert.equal((await evaluate({ suites: [{ suite: 'bigbench' }] })).__typename, 'Run')
})

test('tasks and suites that overlap are one where they ask in the same way, and refused where they do not', async () => {
  const both = await evaluate({
    tasks: [{ task: 'boolq' }, { task: 'wikitext' }],
    suites: [{ suite: 'gpt4all' }],
  })
  assert.equal(both.tasks.length, 8)
  const { issues } = await evaluate({
    tasks: [{ task: 'boolq', limit: 5 }],
    suites: [{ suite: 'gpt4all' }],
  })
  assert.deepEqual(issues, [
    {
      path: ['suites', '0'],
      message: 'expected each task in one way, got boolq in another at tasks.0; use a run for each',
    },
  ])
  const twice = await evaluate({ suites: [{ suite: 'nous' }, { suite: 'nous-fixed' }] })
  assert.equal(twice.issues.length, 33) // TruthfulQA is another task
  const unknown = await evaluate({ suites: [{ suite: 'chess' }] })
  assert.deepEqual(unknown.issues[0].path, ['suites', '0', 'suite'])
  assert.match(unknown.issues[0].message, /expected one of nous, nous-fixed, .*, got "chess"/)
  assert.deepEqual((await evaluate({})).issues, [
    { path: ['tasks'], message: 'expected at least one task or suite' },
  ])
})

test('a run’s averages say what is missing until everything is scored, then the summary is whole', async () => {
  const { id } = await evaluate({ suites: [{ suite: 'gpt4all', limit: 40 }] })
  const [run] = await db
    .select()
    .from(runs)
    .where(eq(runs.id, id.split(':')[1]))
  const subject = { baseModelId: run!.baseModelId, adapterId: null }
  const query = `query ($id: ID!) { run(id: $id) { summary suiteResults {
    suite { name } model { name } adapter { name } mean percent standardError n missing
    groups { name percent missing tasks { task metric mean n standardError } } } } }`
  const before = (await here.ask(query, { id })).data.run.suiteResults
  assert.equal(before.length, 1)
  assert.deepEqual([before[0].mean, before[0].percent, before[0].n], [null, null, null])
  assert.equal(before[0].missing.length, 7)

  const evaluated = run!.spec.evaluate
  for (const [i, { settings }] of evaluated.entries())
    if (settings.task !== 'piqa')
      await world.evaluation(run!.id, subject, answers(40, 10 + i), { settings })
  const [open] = (await here.ask(query, { id })).data.run.suiteResults
  assert.deepEqual([open.percent, open.missing], [null, ['piqa']])
  const { settings: last } = evaluated.find(({ settings }) => settings.task === 'piqa')!
  // An older one by another run counts as well: it is taken over.
  await world.evaluation(
    (await world.run(await world.model('other'))).id,
    subject,
    answers(40, 30),
    {
      settings: last,
    },
  )

  const { summary, suiteResults } = (await here.ask(query, { id })).data.run
  const [{ suite, model, adapter, ...result }] = suiteResults
  assert.deepEqual([suite.name, model.name, adapter], ['gpt4all', 'model', null])
  const rights = evaluated.map(({ settings }, i) => (settings.task === 'piqa' ? 30 : 10 + i))
  const mean = rights.reduce((sum, right) => sum + right / 40, 0) / 7
  assert.ok(Math.abs(result.mean - mean) < 1e-12)
  assert.equal(result.percent, Number((mean * 100).toFixed(2)))
  assert.equal(result.n, 280)
  // sqrt(Σ p (1 - p) / 39) / 7
  const variance = rights.reduce((sum, right) => sum + ((right / 40) * (1 - right / 40)) / 39, 0)
  assert.ok(Math.abs(result.standardError - Math.sqrt(variance) / 7) < 1e-12)
  assert.deepEqual(result.groups[0].missing, [])
  assert.match(
    summary,
    /^\| Model \| GPT4All \|\n\| ----- \| ------: \|\n\| model \|   \d\d\.\d\d \|\n/,
  )
  assert.match(summary, /\| boolq .*\| acc .*\n/)
  assert.match(summary, new RegExp(`Average score: ${result.percent.toFixed(2)}%`))

  // By subject, whoever scored it.
  const bySubject = async (more: object) =>
    (
      await here.ask(
        `query ($suite: String!, $subject: SubjectInput!, $limit: Int, $fewShot: Int) {
          suiteResult(suite: $suite, subject: $subject, limit: $limit, fewShot: $fewShot) { percent missing model { name } } }`,
        { suite: 'gpt4all', subject: { modelId: run!.baseModelId }, limit: 40, ...more },
      )
    ).data.suiteResult
  assert.deepEqual(await bySubject({}), {
    percent: result.percent,
    missing: [],
    model: { name: 'model' },
  })
  assert.equal((await bySubject({ limit: 41 })).missing.length, 7)
  assert.equal((await bySubject({ fewShot: 1 })).missing.length, 7)
  assert.equal((await bySubject({ suite: 'nous-fixed' })).missing.length, 34 - 7)
  assert.equal(await bySubject({ suite: 'chess' }), null)
  assert.equal(await bySubject({ subject: { modelId: randomUUID() } }), null)
})

test('by subject, BIG-bench’s rows must be those that the suite says', async () => {
  const model = await world.model('deducer')
  const { id } = await evaluate({ suites: [{ suite: 'nous' }] })
  const [run] = await db
    .select()
    .from(runs)
    .where(eq(runs.id, id.split(':')[1]))
  const subject = { baseModelId: model.id, adapterId: null }
  const names = [
    'bigbench_tracking_shuffled_objects_three_objects',
    'bigbench_logical_deduction_three_objects',
  ]
  for (const { settings } of run!.spec.evaluate)
    if (names.includes(settings.task)) {
      const { id: evaluationId } = await world.evaluation(run!.id, subject, answers(9, 3), {
        settings,
      })
      await db
        .insert(scores)
        .values({ evaluationId, metric: 'multiple_choice_grade', n: 9, value: 1 / 3 })
    }
  const missing = async (suite: string) =>
    (
      await here.ask(
        'query ($suite: String!, $subject: SubjectInput!) { suiteResult(suite: $suite, subject: $subject) { missing } }',
        { suite, subject: { modelId: model.id } },
      )
    ).data.suiteResult.missing
  assert.equal((await missing('nous')).length, 32)
  // Both were asked without BOS, and one with another's rows.
  assert.equal((await missing('nous-fixed')).length, 34)
})

test('a training scores base and adapter on a suite', async () => {
  const { data } = await here.ask(
    `mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { __typename ... on Run {
      spec suiteResults { suite { name } adapter { id } missing } summary } } }`,
    {
      input: {
        idempotencyKey: randomUUID(),
        model: { path: here.files.model },
        dataset: { path: here.files.dataset },
        evaluate: { suites: [{ suite: 'mmlu', fewShot: 0, limit: 3 }] },
      },
    },
  )
  const run = data.trainAdapter
  assert.equal(run.spec.evaluate.length, 57)
  assert.deepEqual(run.spec.suites, ['mmlu'])
  assert.deepEqual(
    run.suiteResults.map((r: any) => [r.suite.name, r.adapter, r.missing.length]),
    [['mmlu', null, 57]],
  )
  assert.match(
    run.summary,
    /^\| Model \| STEM \| Other \| Social sciences \| Humanities \| Average \|/,
  )
  assert.match(run.summary, /Average score: none, there are no scores of mmlu_abstract_algebra, /)
})
