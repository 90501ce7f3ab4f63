import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import test from 'node:test'
import { createApiKey, verifyKey } from '#api/accounts/keys.ts'
import { Recipe } from '#schema/spec.ts'
import { artifacts, events, metrics, runs } from '#schema/tables.ts'
import { answers, createWorld, sha } from '#test/evaluation/world.ts'
import { install } from './installation.ts'

const here = await install()
const { db } = here.ctx
const { model, dataset } = here.files
const world = await createWorld(db)

const train = (input: object) =>
  here.ask(
    `mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) {
      __typename
      ... on Problem { message }
      ... on InvalidInput { issues { path message } }
      ... on Run { id name kind status attempt account { name } model { name family } dataset { name }
        recipe { beta nll learningRate schedule maxSteps } lora { r alpha targetModules } engine { tokenBudget threads }
        tasks { settings { task version limit } rows } spec adapter { id } comparison { id } failure { code } progress { done } }
    } }`,
    { input },
  )

const least = () => ({
  idempotencyKey: randomUUID(),
  model: { path: model },
  dataset: { path: dataset },
})

test('a training that names only model and dataset has the article’s recipe', async () => {
  const { data, errors } = await train({
    ...least(),
    evaluate: { tasks: [{ task: 'who_is_bigger', limit: 50 }] },
  })
  assert.equal(errors, undefined)
  const run = data.trainAdapter
  assert.equal(run.__typename, 'Run')
  assert.deepEqual(
    [run.kind, run.status, run.attempt, run.account.name],
    ['TRAIN', 'QUEUED', 0, 'owner'],
  )
  assert.equal(run.name, 'model on preferences.jsonl')
  assert.deepEqual(run.model, { name: 'model', family: 'llama' })
  // https://huggingface.co/blog/mlabonne/orpo-llama-3: beta 0.1, learning rate 8e-6, linear; LoRA 16, 32, all linears.
  assert.deepEqual(run.recipe, {
    beta: 0.1,
    nll: 'PROMPT_AND_CHOSEN',
    learningRate: 8e-6,
    schedule: 'LINEAR',
    maxSteps: null,
  })
  assert.deepEqual([run.lora.r, run.lora.alpha, run.lora.targetModules.length], [16, 32, 7])
  assert.deepEqual(run.tasks[0].settings, { task: 'who_is_bigger', version: 1, limit: 50 })
  assert.deepEqual(run.spec.recipe, Recipe.parse({}))
  assert.deepEqual(
    [run.adapter, run.comparison, run.failure, run.progress],
    [null, null, null, null],
  )
})

test('the same idempotency key with the same input is the same run, null or absent alike; with other input a Conflict', async () => {
  const input = least()
  const first = (await train(input)).data.trainAdapter
  const again = (await train({ ...input, recipe: { beta: null }, lora: null })).data.trainAdapter
  assert.equal(again.id, first.id)
  const other = (await train({ ...input, recipe: { beta: 0.2 } })).data.trainAdapter
  assert.equal(other.__typename, 'Conflict')
  assert.match(other.message, new RegExp(first.id.split(':')[1]))
})

test('another account’s idempotency keys are its own', async () => {
  const input = least()
  const first = (await train(input)).data.trainAdapter
  const owner = (await verifyKey(here.ctx, here.key))!
  const { clear } = await createApiKey(here.ctx, owner, { name: 'first', account: 'mira' })
  const query =
    'mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { ... on Run { id } } }'
  const theirs = await here.ask(query, { input }, { authorization: `Bearer ${clear}` })
  assert.notEqual(theirs.data.trainAdapter.id, first.id)
})

test('everything that is wrong with an input is said by its path, and nothing is started', async () => {
  const before = await db.$count(runs)
  const { data } = await train({
    ...least(),
    recipe: { beta: -1, maxLength: 16, maxPromptLength: 32 },
    lora: { dropout: 1 },
    evaluate: { tasks: [{ task: 'who_is_bigger' }, { task: 'who_is_bigger' }] },
  })
  assert.equal(data.trainAdapter.__typename, 'InvalidInput')
  const paths = data.trainAdapter.issues
    .map(({ path }: { path: string[] }) => path.join('.'))
    .sort()
  assert.deepEqual(paths, [
    'evaluate.tasks',
    'lora.dropout',
    'recipe.beta',
    'recipe.maxPromptLength',
  ])
  assert.equal(await db.$count(runs), before)
})

test('a schedule with its options and a rank-stabilized LoRA are stored and read back', async () => {
  const { data } = await here.ask(
    `mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { ... on Run {
      recipe { schedule warmupRatio scheduleOptions { decaySteps decayCurve minRatio cycles } } lora { rslora } } } }`,
    {
      input: {
        ...least(),
        recipe: {
          schedule: 'WARMUP_STABLE_DECAY',
          warmupRatio: 0.1,
          scheduleOptions: { decaySteps: 20, decayCurve: 'ONE_MINUS_SQRT', minRatio: null },
        },
        lora: { rslora: true },
      },
    },
  )
  assert.deepEqual(data.trainAdapter, {
    recipe: {
      schedule: 'WARMUP_STABLE_DECAY',
      warmupRatio: 0.1,
      scheduleOptions: {
        decaySteps: 20,
        decayCurve: 'ONE_MINUS_SQRT',
        minRatio: null,
        cycles: null,
      },
    },
    lora: { rslora: true },
  })
})

test('a path outside the allowed folders is an invalid input', async () => {
  const { data } = await train({ ...least(), model: { path: '/etc' } })
  assert.deepEqual(data.trainAdapter.issues[0].path, ['model', 'path'])
})

test('too many waiting runs are a limit', async () => {
  const small = await install({ limits: { ...here.ctx.config.limits, queuedRuns: 1 } })
  const query =
    'mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { __typename ... on Problem { message } } }'
  const input = () => ({
    idempotencyKey: randomUUID(),
    model: { path: small.files.model },
    dataset: { path: small.files.dataset },
  })
  assert.equal((await small.ask(query, { input: input() })).data.trainAdapter.__typename, 'Run')
  assert.equal(
    (await small.ask(query, { input: input() })).data.trainAdapter.__typename,
    'LimitExceeded',
  )
})

test('an evaluation takes a model, or an adapter that exists', async () => {
  const evaluate = async (input: object) => {
    const query = `mutation ($input: EvaluateInput!) { evaluate(input: $input) {
      __typename ... on Problem { message } ... on InvalidInput { issues { path } } ... on Run { kind recipe { beta } tasks { settings { task } } } } }`
    return (
      await here.ask(query, {
        input: { idempotencyKey: randomUUID(), tasks: [{ task: 'who_is_bigger' }], ...input },
      })
    ).data.evaluate
  }
  assert.deepEqual(await evaluate({ model: { path: model } }), {
    __typename: 'Run',
    kind: 'EVALUATE',
    recipe: null,
    tasks: [{ settings: { task: 'who_is_bigger' } }],
  })
  assert.equal((await evaluate({ adapterId: `Adapter:${randomUUID()}` })).__typename, 'NotFound')
  assert.equal((await evaluate({ adapterId: `Run:${randomUUID()}` })).__typename, 'NotFound')
  assert.deepEqual((await evaluate({})).issues, [{ path: ['model'] }])
})

const cancel = async (id: string) =>
  (
    await here.ask(
      'mutation ($id: ID!) { cancelRun(id: $id) { __typename ... on Problem { message } ... on Run { status } } }',
      { id },
    )
  ).data.cancelRun

test('a waiting run is canceled at once, an ended one is a Conflict, and none is NotFound', async () => {
  const { id } = (await train(least())).data.trainAdapter
  assert.deepEqual(await cancel(id), { __typename: 'Run', status: 'CANCELED' })
  const ended = await world.run(await world.model('ended'))
  assert.equal((await cancel(ended.id)).__typename, 'Conflict')
  assert.equal((await cancel(randomUUID())).__typename, 'NotFound')
  assert.equal((await cancel('nonsense')).__typename, 'NotFound')
})

test('a canceled run is tried again as a new run of the same spec; a waiting one is not', async () => {
  const retry = async (id: string, idempotencyKey: string) =>
    (
      await here.ask(
        'mutation ($id: ID!, $key: String!) { retryRun(id: $id, idempotencyKey: $key) { __typename ... on Problem { message } ... on Run { id status spec } } }',
        { id, key: idempotencyKey },
      )
    ).data.retryRun
  const { id, spec } = (await train(least())).data.trainAdapter
  assert.equal((await retry(id, 'again')).__typename, 'Conflict')
  await cancel(id)
  const second = await retry(id, 'again')
  assert.notEqual(second.id, id)
  assert.deepEqual([second.status, second.spec], ['QUEUED', spec])
  assert.equal((await retry(id, 'again')).id, second.id)
  assert.equal((await retry(randomUUID(), 'other')).__typename, 'NotFound')
})

test('runs come newest first, page by page, none twice and none missing, though all were made in one instant', async () => {
  const fresh = await install()
  const world = await createWorld(fresh.ctx.db)
  const base = await world.model('many')
  const createdAt = new Date()
  for (let i = 0; i < 7; i += 1)
    await world.run(base, { name: `run ${i}`, createdAt, status: i < 2 ? 'FAILED' : 'SUCCEEDED' })
  const query = `query ($after: String, $filter: RunFilter) { runs(first: 3, after: $after, filter: $filter) {
    nodes { id } pageInfo { hasNextPage endCursor } } }`
  const seen: string[] = []
  let after: string | null = null
  for (;;) {
    const { runs: page }: any = (await fresh.ask(query, { after })).data
    seen.push(...page.nodes.map(({ id }: { id: string }) => id))
    if (!page.pageInfo.hasNextPage) break
    after = page.pageInfo.endCursor
  }
  assert.equal(seen.length, 7)
  assert.deepEqual(seen, [...new Set(seen)].sort().reverse())
  const failed = await fresh.ask(query, { filter: { status: ['FAILED', 'QUEUED'], kind: 'TRAIN' } })
  assert.equal(failed.data.runs.nodes.length, 2)
  assert.equal((await fresh.ask(query, { filter: { kind: 'EVALUATE' } })).data.runs.nodes.length, 0)
})

test('a run shows its curves, progress, events, files, scores and comparison', async () => {
  const base = await world.model('stories260K')
  const { id: adapterId, runId } = await world.adapter(base, 'orpo', { status: 'RUNNING' })
  await world.evaluation(runId, { baseModelId: base.id, adapterId: null }, answers(8, 3))
  await world.evaluation(runId, { baseModelId: base.id, adapterId }, answers(8, 5))
  await db.insert(artifacts).values({
    runId,
    attempt: 1,
    kind: 'CHECKPOINT',
    name: 'checkpoint',
    step: 5,
    sha256: sha('c'),
    bytes: 2 ** 33,
  })
  await db.insert(metrics).values(
    Array.from({ length: 10 }, (_, i) => [
      { runId, name: 'loss', step: i + 1, value: 4 - i / 10 },
      { runId, name: 'rewards/margins', step: i + 1, value: i === 9 ? null : i },
    ]).flat(),
  )
  const said = (cursor: number, type: string, body: Record<string, unknown>) => ({
    runId,
    cursor,
    attempt: 1,
    source: 'RUNTIME' as const,
    sourceSeq: cursor,
    type,
    body,
  })
  await db.insert(events).values([
    said(1, 'progress', {
      phase: 'TRAIN',
      done: 1,
      total: 10,
      unit: 'steps',
      tokensPerSecond: null,
      etaSeconds: null,
    }),
    said(2, 'metrics', { step: 1, values: { loss: 4, 'rewards/margins': null } }),
    said(3, 'progress', {
      phase: 'TRAIN',
      done: 10,
      total: 10,
      unit: 'steps',
      tokensPerSecond: 800.5,
      etaSeconds: 0,
    }),
    said(4, 'log', { level: 'info', message: 'saved' }),
  ])
  await here.ask(
    `mutation { compare(input: { baseline: { modelId: "${base.id}" }, candidate: { adapterId: "${adapterId}" } }) { __typename } }`,
  )
  const { data, errors } = await here.ask(
    `query ($id: ID!) { run(id: $id) {
      metricNames
      curves(names: ["loss"], maxPoints: 4) { name points { step value } }
      all: curves { name points { value } }
      progress { phase done total unit tokensPerSecond etaSeconds }
      events(after: 1, first: 2) { nodes { cursor type source step metrics { name value } progress { done } message body } after more }
      rest: events(after: 3) { nodes { message } more }
      artifacts { kind step bytes }
      adapter { id parameters }
      evaluations { adapter { name } scores { metric n value standardError }
        samples(first: 2) { nodes { document gold picked scores { metric value } choices { logLikelihood tokens } } pageInfo { hasNextPage } } }
    }
    comparisons(first: 1) { nodes { run { id } baselineAdapter { id } candidateAdapter { id } candidateModel { name }
      tasks { task metric n leftOut baseline candidate difference gained lost candidateEvaluation { settings { task } } } } } }`,
    { id: runId },
  )
  assert.equal(errors, undefined)
  const { run } = data
  assert.deepEqual(run.metricNames, ['loss', 'rewards/margins'])
  assert.deepEqual(run.curves, [
    { name: 'loss', points: [1, 4, 7, 10].map((step) => ({ step, value: 4 - (step - 1) / 10 })) },
  ])
  assert.deepEqual(run.all[1].points.at(-1), { value: null })
  assert.deepEqual(run.progress, {
    phase: 'TRAIN',
    done: 10,
    total: 10,
    unit: 'steps',
    tokensPerSecond: 800.5,
    etaSeconds: 0,
  })
  const [point, progress] = run.events.nodes
  assert.deepEqual([point.cursor, point.source, point.step], [2, 'RUNTIME', 1])
  assert.deepEqual(point.metrics, [
    { name: 'loss', value: 4 },
    { name: 'rewards/margins', value: null },
  ])
  assert.deepEqual([progress.progress.done, progress.metrics], [10, null])
  assert.deepEqual(
    [run.events.after, run.events.more, run.rest],
    [3, true, { nodes: [{ message: 'saved' }], more: false }],
  )
  assert.deepEqual(run.artifacts, [{ kind: 'CHECKPOINT', step: 5, bytes: 2 ** 33 }])
  assert.equal(run.adapter.parameters, 12_288)
  assert.deepEqual(
    run.evaluations.map((e: any) => [e.adapter?.name ?? null, e.scores[0].value]),
    [
      [null, 3 / 8],
      ['orpo', 5 / 8],
    ],
  )
  assert.deepEqual(run.evaluations[1].samples.nodes[0], {
    document: 0,
    gold: 0,
    picked: 0,
    scores: [
      { metric: 'acc', value: 1 },
      { metric: 'acc_norm', value: 1 },
    ],
    choices: [-9.5, -10.25, -12, null].map((logLikelihood) => ({ logLikelihood, tokens: 3 })),
  })
  assert.equal(run.evaluations[1].samples.pageInfo.hasNextPage, true)
  const [comparison] = data.comparisons.nodes
  assert.deepEqual(
    [comparison.run, comparison.baselineAdapter, comparison.candidateAdapter.id],
    [null, null, `Adapter:${adapterId}`],
  )
  const { task, n, difference, gained, lost } = comparison.tasks[0]
  assert.deepEqual(
    { task, n, difference, gained, lost },
    { task: 'openbookqa', n: 8, difference: 0.25, gained: 2, lost: 0 },
  )
})

test('what cannot be compared is said', async () => {
  const [one, other] = [await world.model('one'), await world.model('other')]
  const compare = async (baseline: object, candidate: object) =>
    await here.ask('mutation ($input: CompareInput!) { compare(input: $input) { __typename } }', {
      input: { baseline, candidate },
    })
  assert.equal(
    (await compare({ modelId: one.id }, { modelId: other.id })).data.compare.__typename,
    'Conflict',
  )
  assert.equal(
    (await compare({ modelId: one.id }, { adapterId: randomUUID() })).data.compare.__typename,
    'NotFound',
  )
  // @oneOf is checked before anything runs.
  assert.match(
    (await compare({ modelId: one.id, adapterId: one.id }, { modelId: other.id })).errors![0]!
      .message,
    /exactly one/i,
  )
})

test('a page that is too long is refused in words', async () => {
  const { errors } = await here.ask(
    '{ runs { nodes { curves(maxPoints: 1) { name } events(first: 5000) { more } } } }',
  )
  assert.equal(errors![0]!.extensions.code, 'BAD_USER_INPUT')
})

test('an account makes keys for itself and for teammates, and revokes them', async () => {
  const create = async (input: object) =>
    (
      await here.ask(
        'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { __typename ... on CreatedApiKey { clear apiKey { id name prefix account { name } } } ... on Problem { message } } }',
        { input },
      )
    ).data.createApiKey
  const made = await create({ name: 'ci', account: 'bot' })
  assert.deepEqual(
    [made.apiKey.account.name, made.clear.split('_')[1]],
    ['bot', made.apiKey.prefix],
  )
  assert.equal((await create({ name: 'ci', account: 'bot' })).__typename, 'Forbidden')
  assert.equal((await create({ name: '' })).__typename, 'InvalidInput')
  const revoke = async (id: string) =>
    (
      await here.ask(
        'mutation ($id: ID!) { revokeApiKey(id: $id) { __typename ... on ApiKey { revokedAt } } }',
        { id },
      )
    ).data.revokeApiKey
  assert.ok((await revoke(made.apiKey.id)).revokedAt)
  assert.equal((await revoke(randomUUID())).__typename, 'NotFound')
  const alone = await install()
  const { data } = await alone.ask('{ viewer { apiKey { id } } }')
  const last = await alone.ask(
    `mutation { revokeApiKey(id: "${data.viewer.apiKey.id}") { __typename } }`,
  )
  assert.equal(last.data.revokeApiKey.__typename, 'Conflict')
})
