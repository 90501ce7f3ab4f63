import assert from 'node:assert/strict'
import test from 'node:test'
import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  isUnionType,
  type GraphQLField,
  type GraphQLInputType,
} from 'graphql'
import { revokeApiKey, createApiKey, verifyKey } from '#api/accounts/keys.ts'
import { schema } from '#api/graph/schema.ts'
import { apiKeys, artifacts } from '#schema/tables.ts'
import { answers, createWorld, settings, sha } from '#test/evaluation/world.ts'
import { install, type Answer } from './installation.ts'

const here = await install()
const world = await createWorld(here.ctx.db)
const model = await world.model('stories260K')
const adapter = await world.adapter(model, 'orpo')
const evaluation = await world.evaluation(
  adapter.runId,
  { baseModelId: model.id, adapterId: adapter.id },
  answers(4, 2),
)
await world.evaluation(adapter.runId, { baseModelId: model.id, adapterId: null }, answers(4, 1))
const compared = await here.ask(
  `mutation { compare(input: { baseline: { modelId: "${model.id}" }, candidate: { adapterId: "${adapter.id}" } }) { ... on Comparison { id } } }`,
)
const [artifact] = await here.ctx.db
  .insert(artifacts)
  .values({
    runId: adapter.runId,
    attempt: 1,
    kind: 'ADAPTER',
    name: 'adapter_model.safetensors',
    sha256: sha('x'),
    bytes: 1,
  })
  .returning()
const [keyRow] = await here.ctx.db.select().from(apiKeys)

const isPublic = (root: string, field: string) =>
  root === 'Query' && ['leaderboard', 'suiteLeaderboard'].includes(field)

/** The least that satisfies the type. */
function literal(type: GraphQLInputType): string {
  const named = getNullableType(type)
  if (isListType(named)) return `[${literal(named.ofType)}]`
  if (isEnumType(named)) return named.getValues()[0]!.name
  if (isScalarType(named))
    return { Int: '1', Float: '1', Boolean: 'true' }[named.name] ?? `"Model:${model.id}"`
  if (!isInputObjectType(named)) throw new Error(`${type}`)
  const fields = Object.values(named.getFields())
  const needed = named.isOneOf
    ? fields.slice(0, 1)
    : fields.filter((field) => isNonNullType(field.type))
  return `{ ${needed.map((field) => `${field.name}: ${literal(field.type)}`).join(', ')} }`
}

function operation(root: string, field: GraphQLField<unknown, unknown>): string {
  const args = field.args
    .filter(({ type }) => isNonNullType(type))
    .map(({ name, type }) => `${name}: ${literal(type)}`)
  return `${root.toLowerCase()} { ${field.name}${args.length ? `(${args.join(', ')})` : ''} { __typename } }`
}

/** A subscription's answer is its first event. */
async function anonymous(query: string): Promise<Answer> {
  const response = await here.post(query, {}, { accept: 'application/json, text/event-stream' })
  const text = await response.text()
  return JSON.parse(text.startsWith('{') ? text : /^data: (\{.*)$/m.exec(text)![1]!) as Answer
}

for (const root of [
  schema.getQueryType(),
  schema.getMutationType(),
  schema.getSubscriptionType(),
]) {
  for (const field of Object.values(root!.getFields())) {
    if (isPublic(root!.name, field.name)) continue
    test(`without a key ${root!.name}.${field.name} is refused`, async () => {
      const { data, errors } = await anonymous(operation(root!.name, field))
      assert.equal(
        errors?.[0]?.extensions.code,
        'UNAUTHENTICATED',
        JSON.stringify({ data, errors }),
      )
      assert.equal(data?.[field.name] ?? null, null)
    })
  }
}

const nodes: Record<string, string> = {
  Account: world.accountId,
  ApiKey: keyRow!.id,
  Artifact: artifact!.id,
  Adapter: adapter.id,
  Run: adapter.runId,
  Model: model.id,
  Dataset: world.dataset.id,
  Evaluation: evaluation.id,
  Comparison: compared.data.compare.id.split(':')[1],
}

test('every type of node is tried here', () => {
  const { objects } = schema.getImplementations(schema.getType('Node') as never)
  assert.deepEqual(objects.map(({ name }) => name).sort(), Object.keys(nodes).sort())
})

for (const [type, id] of Object.entries(nodes)) {
  test(`${type}:<uuid> is a node with a key, and nothing without`, async () => {
    const query = `query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }`
    const ids = { id: `${type}:${id}` }
    const { data } = await here.ask(query, ids)
    assert.deepEqual(data, { node: { __typename: type, ...ids }, nodes: [ids] })
    const refused = await here.ask(query, ids, {})
    assert.equal(refused.errors?.[0]?.extensions.code, 'UNAUTHENTICATED')
    assert.ok(!JSON.stringify(refused.data ?? null).includes(id))
  })
}

test('an id that is none is no node, and says so', async () => {
  for (const id of ['', 'Run', 'Run:', 'Run:1', `Nothing:${model.id}`, model.id]) {
    const { data, errors } = await here.ask(
      'query ($id: ID!) { node(id: $id) { id } run(id: $id) { id } }',
      { id },
    )
    assert.equal(data?.node ?? null, null, id)
    assert.equal(data?.run ?? null, null, id)
    assert.notEqual(errors?.[0]?.extensions?.code, 'INTERNAL_SERVER_ERROR', id)
  }
})

test('everything that can be reached from the leaderboard without a key is on this list', () => {
  const open = new Set<string>()
  const walk = (type: unknown) => {
    if (isUnionType(type)) type.getTypes().forEach(walk)
    if (!isObjectType(type) || open.has(type.name)) return
    if ((type.extensions['pothosOptions'] as { authScopes?: unknown }).authScopes !== undefined)
      return
    open.add(type.name)
    Object.values(type.getFields()).forEach((field) => walk(getNamedType(field.type)))
  }
  walk(schema.getType('Board'))
  walk(schema.getType('SuiteBoard'))
  assert.deepEqual([...open].sort(), [
    'Board',
    'Difference',
    'EvaluationSettings',
    'Standing',
    'SuiteBoard',
    'SuitePart',
    'SuiteStanding',
  ])
})

test('the leaderboard is public, what its rows link to is not', async () => {
  const query = `{ leaderboard { task title rows {
    rank name modelName n value low high toBase { difference low high pValue }
    model { id } adapter { id } evaluation { id } comparison { id } } } }`
  const { data, errors } = await here.ask(query, {}, {})
  assert.equal(errors, undefined)
  const [best, base] = data.leaderboard[0].rows
  assert.deepEqual([best.name, best.value, best.toBase.difference], ['orpo', 0.5, 0.25])
  assert.deepEqual([base.name, base.value, base.toBase], ['stories260K', 0.25, null])
  for (const link of ['model', 'adapter', 'evaluation', 'comparison'])
    assert.equal(best[link], null)
  const known = (await here.ask(query)).data.leaderboard[0].rows[0]
  assert.deepEqual(
    [known.model.id, known.adapter.id],
    [`Model:${model.id}`, `Adapter:${adapter.id}`],
  )
})

test('what somebody wrote himself is not shown with a public board', async () => {
  const custom = { kind: 'MULTIPLE_CHOICE', name: 'own', text: 'our secret template' }
  const own = settings({ task: 'own', systemInstruction: 'our secret', custom: custom as never })
  await world.evaluation(
    adapter.runId,
    { baseModelId: model.id, adapterId: adapter.id },
    answers(4, 2),
    { settings: own, promptHash: sha('own') },
  )
  const query = '{ leaderboard { settings { task systemInstruction custom } } }'
  const shown = async (headers?: Record<string, string>) =>
    JSON.stringify((await here.ask(query, {}, headers)).data)
  assert.match(await shown(), /our secret template/)
  assert.doesNotMatch(await shown({}), /secret/)
})

test('a wrong key gets nothing at all, not even what needs none', async () => {
  const response = await here.post(
    '{ leaderboard { task } }',
    {},
    { authorization: 'Bearer ods_wrong' },
  )
  assert.equal(response.status, 401)
  assert.match(response.headers.get('www-authenticate')!, /^Bearer/)
})

test('a revoked key is refused at once', async () => {
  const owner = (await verifyKey(here.ctx, here.key))!
  const { clear, key } = await createApiKey(here.ctx, owner, { name: 'leaked' })
  const by = { authorization: `Bearer ${clear}` }
  assert.equal((await here.post('{ viewer { account { name } } }', {}, by)).status, 200)
  await revokeApiKey(here.ctx, owner, key.id)
  assert.equal((await here.post('{ viewer { account { name } } }', {}, by)).status, 401)
})
