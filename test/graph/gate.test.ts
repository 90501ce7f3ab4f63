/** Gates and flips as a client asks for them, on comparisons whose samples are chosen. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { eq } from 'drizzle-orm'
import { compareRun } from '#api/evaluation/compare.ts'
import { orders } from '#api/runs/job.ts'
import { GateClause } from '#schema/spec.ts'
import { suites } from '#schema/suites.ts'
import { comparisons, runs } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { answers, createWorld, flipped, settings, sha } from '#test/evaluation/world.ts'
import { install } from './installation.ts'

const here = await install()
const { db } = here.ctx
const world = await createWorld(db)
const arc = settings({ task: 'arc_easy' })

/** A training run that turned `gained` of 400 wrong answers and lost none, compared with its base on two tasks. */
async function compared(gained: number, gate?: object) {
  const base = await world.model('base')
  const adapter = await world.adapter(base, `gained ${gained}`)
  const evaluate = [settings(), arc].map((given) => ({
    settings: given,
    rows: '/r',
    examples: null,
  }))
  const clause = gate === undefined ? {} : { gate: GateClause.parse(gate) }
  const spec = { ...adapter.run.spec, evaluate, ...clause }
  await db.update(runs).set({ spec }).where(eq(runs.id, adapter.run.id))
  for (const used of [settings(), arc]) {
    const before = answers(400, 200)
    const of = (adapterId: string | null) => ({ baseModelId: base.id, adapterId })
    await world.evaluation(adapter.run.id, of(null), before, { settings: used })
    await world.evaluation(adapter.run.id, of(adapter.id), flipped(before, 1, gained), {
      settings: used,
    })
  }
  return { id: (await compareRun(db, adapter.run.id))!, runId: adapter.run.id }
}

const judge = async (comparison: string, rules: object[], adjust?: string) => {
  const { data, errors } = await here.ask(
    `query ($id: ID!, $rules: [GateRuleInput!]!, $adjust: Adjustment) {
      gate(comparison: $id, rules: $rules, adjust: $adjust) { __typename
        ... on Gate { verdict judgements { verdict reason n difference low high needed task } }
        ... on InvalidInput { issues { path message } } ... on NotFound { message } } }`,
    { id: comparison, rules, adjust },
  )
  assert.equal(errors, undefined)
  return data.gate
}

test('a gate passes, fails or is undecided, in words and with the samples that it would take', async () => {
  const { id } = await compared(40)
  const better = { kind: 'SUPERIORITY', margin: 0, task: 'arc_easy' }
  const passed = await judge(id, [better])
  assert.equal(passed.verdict, 'PASS')
  assert.match(
    passed.judgements[0].reason,
    /^PASS arc_easy acc_norm: difference \+0\.1, 90% interval/,
  )
  assert.equal((await judge(id, [{ ...better, margin: 0.3 }])).verdict, 'FAIL')
  const { verdict, judgements } = await judge(id, [{ ...better, margin: 0.09 }, better], 'HOLM')
  assert.deepEqual(
    [verdict, ...judgements.map((judgement: any) => judgement.verdict)],
    ['UNDECIDED', 'UNDECIDED', 'PASS'],
  )
  assert.ok(judgements[0].needed > 400)
  // Over both tasks, each counting once.
  const all = await judge(id, [{ kind: 'NON_INFERIORITY', margin: 0.01 }])
  assert.deepEqual([all.verdict, all.judgements[0].n, all.judgements[0].task], ['PASS', 800, null])
})

test('rules that mean nothing are refused by their place, an unknown comparison is not found', async () => {
  const { id } = await compared(1)
  const rule = { kind: 'SUPERIORITY', margin: 0 }
  const refused = await judge(id, [rule, { ...rule, task: 'chess' }])
  assert.deepEqual(refused.issues[0].path, ['rules', '1', 'task'])
  assert.deepEqual((await judge(id, [{ ...rule, margin: -1 }])).issues[0].path, [
    'rules',
    '0',
    'margin',
  ])
  assert.deepEqual((await judge(id, [{ ...rule, suite: 'chess' }])).issues[0].path, [
    'rules',
    '0',
    'suite',
  ])
  assert.match(
    (await judge(id, [{ ...rule, suite: 'nous' }])).issues[0].message,
    /expected a task of the comparison/,
  )
  assert.equal((await judge(id, [])).__typename, 'InvalidInput')
  assert.equal((await judge(randomUUID(), [rule])).__typename, 'NotFound')
})

test('a run that was started with a gate says what it comes to', async () => {
  const gate = { rules: [{ kind: 'NON_INFERIORITY', margin: 0.02 }] }
  const ask = async (id: string) =>
    (await here.ask('query ($id: ID!) { run(id: $id) { gateResult { verdict } } }', { id })).data
      .run
  assert.deepEqual(await ask((await compared(3, gate)).runId), { gateResult: { verdict: 'PASS' } })
  assert.deepEqual(await ask((await compared(3)).runId), { gateResult: null })
  // Where nothing could be paired, nothing is proven.
  const { id, runId } = await compared(5, gate)
  await db.delete(comparisons).where(eq(comparisons.id, id))
  assert.deepEqual(await ask(runId), { gateResult: { verdict: 'UNDECIDED' } })
})

test('an evaluation with a gate scores the base model too; rules about other tasks are refused', async () => {
  const { rows } = tasks.get('who_is_bigger')!
  await writeFile(join(here.files.root, rows), '{}\n')
  const evaluate = async (gate: object, more: object = {}) => {
    const { data, errors } = await here.ask(
      `mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { __typename
        ... on InvalidInput { issues { path message } } ... on Run { id } } }`,
      {
        input: {
          idempotencyKey: randomUUID(),
          model: { path: here.files.model },
          dataset: { path: here.files.dataset },
          evaluate: { tasks: [{ task: 'who_is_bigger' }], gate },
          ...more,
        },
      },
    )
    assert.equal(errors, undefined)
    return data.trainAdapter
  }
  const rule = { kind: 'SUPERIORITY', margin: 0 }
  const refused = await evaluate({ rules: [{ ...rule, task: 'arc_easy' }] })
  assert.deepEqual(refused.issues[0].path, ['evaluate', 'gate', 'rules', '0', 'task'])
  const run = await evaluate({ rules: [{ ...rule, task: 'who_is_bigger' }] })
  assert.equal(run.__typename, 'Run')

  const spec = { ...(await db.query.runs.findFirst({ where: { id: run.id.slice(4) } }))!.spec }
  const asked = {
    kind: 'EVALUATE',
    adapter: { id: randomUUID(), sha256: sha('adapter') },
    shard: null,
  }
  const both = { ...spec, ...asked } as Parameters<typeof orders>[0]['spec']
  assert.deepEqual(
    orders({ spec: both }).map(({ key }) => key),
    ['BASE:who_is_bigger', 'ADAPTER:who_is_bigger'],
  )
  const without = { ...both, gate: undefined }
  assert.deepEqual(
    orders({ spec: without as typeof both }).map(({ key }) => key),
    ['ADAPTER:who_is_bigger'],
  )
})

test('the samples that changed come page by page, with both sides and their margins', async () => {
  const { id } = await compared(30)
  const ask = async (args: string) => {
    const { data, errors } = await here.ask(
      `query ($id: ID!) { comparison(id: $id) { flips(task: "arc_easy", ${args}) {
        pageInfo { hasNextPage endCursor }
        nodes { document gained gold question answers baseline { score picked margin response } candidate { score picked margin } } } } }`,
      { id },
    )
    assert.equal(errors, undefined)
    return data.comparison.flips
  }
  const first = await ask('first: 20')
  assert.equal(first.nodes.length, 20)
  assert.equal(first.pageInfo.hasNextPage, true)
  // The 201st document is the first wrong one; its right answer is the first of four: -9.5 against -10.25 nats.
  assert.deepEqual(
    { ...first.nodes[0], question: '', answers: [] },
    {
      document: 200,
      gained: true,
      gold: 0,
      question: '',
      answers: [],
      baseline: { score: 0, picked: 1, margin: 0.75, response: null },
      candidate: { score: 1, picked: 0, margin: 0.75 },
    },
  )
  const second = await ask(`first: 20, after: "${first.pageInfo.endCursor}"`)
  assert.equal(second.nodes.length, 10)
  assert.equal(second.nodes[0].document, 220)
  assert.equal((await ask('direction: LOST')).nodes.length, 0)
})

test('a comparison on all tasks of a suite has the difference of its mean', async () => {
  const suite = suites.get('gpt4all')!
  const base = await world.model('suite')
  const adapter = await world.adapter(base, 'suite')
  const asked = suite.groups[0]!.members.map(({ task }) =>
    settings({ task, version: tasks.get(task)!.version }),
  )
  const evaluate = asked.map((given) => ({ settings: given, rows: '/r', examples: null }))
  await db
    .update(runs)
    .set({ spec: { ...adapter.run.spec, evaluate } })
    .where(eq(runs.id, adapter.run.id))
  for (const [i, used] of asked.entries()) {
    const before = answers(100 * (i + 1), 30)
    const of = (adapterId: string | null) => ({ baseModelId: base.id, adapterId })
    await world.evaluation(adapter.run.id, of(null), before, { settings: used })
    await world.evaluation(adapter.run.id, of(adapter.id), flipped(before, 1, 10), {
      settings: used,
    })
  }
  const id = await compareRun(db, adapter.run.id)
  const { data, errors } = await here.ask(
    'query ($id: ID!) { comparison(id: $id) { suites { suite n difference low high } } }',
    { id },
  )
  assert.equal(errors, undefined)
  const [found, ...others] = data.comparison.suites
  assert.equal(others.length, 0)
  assert.deepEqual([found.suite, found.n], ['gpt4all', 2800])
  // Unweighted: the mean over seven tasks of 10 of 100 (i + 1).
  const mean = asked.reduce((sum, _, i) => sum + 0.1 / (i + 1), 0) / asked.length
  assert.ok(Math.abs(found.difference - mean) < 1e-12)
  assert.ok(found.low > 0 && found.low < mean && mean < found.high)
})
