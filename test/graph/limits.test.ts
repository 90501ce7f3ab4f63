import assert from 'node:assert/strict'
import test from 'node:test'
import { getIntrospectionQuery } from 'graphql'
import { costLimits } from '#api/graph/builder.ts'
import { documentLimits } from '#api/graph/limits.ts'
import { install } from './installation.ts'

const here = await install()

const repeat = (n: number, part: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => part(i)).join(' ')

test('a document of too many tokens is refused before it is parsed to its end', async () => {
  const { errors } = await here.ask(`{ ${repeat(documentLimits.tokens, () => '__typename')} }`)
  assert.match(errors![0]!.message, /token/i)
})

test('a document of too many aliases is refused', async () => {
  const aliased = (n: number) => `{ ${repeat(n, (i) => `a${i}: __typename`)} }`
  assert.equal((await here.ask(aliased(documentLimits.aliases))).errors, undefined)
  const { data, errors } = await here.ask(aliased(documentLimits.aliases + 1))
  assert.equal(data, undefined)
  assert.equal(errors![0]!.extensions.code, 'TOO_COMPLEX')
})

test('a query that is too deep is refused', async () => {
  const levels = Math.ceil(costLimits.depth / 2)
  const deep = `{ adapters(first: 1) { nodes { ${'model { adapters(first: 1) { nodes { '.repeat(levels)} id ${'} } }'.repeat(levels)} } } }`
  const { data, errors } = await here.ask(deep)
  assert.equal(data?.adapters ?? null, null)
  assert.match(errors![0]!.message, /depth/)
})

test('a query that asks for too much at once is refused', async () => {
  const { errors } = await here.ask(
    '{ runs(first: 200) { nodes { evaluations { samples(first: 200) { nodes { question answers } } } } } }',
  )
  assert.match(errors![0]!.message, /complexity/)
})

test('fragments that multiply are counted as what they become', async () => {
  const fragments = repeat(
    40,
    (i) => `fragment f${i} on Model { adapters(first: 2) { nodes { model { ...f${i + 1} } } } }`,
  )
  const { errors } = await here.ask(
    `{ models { nodes { ...f0 } } } ${fragments} fragment f40 on Model { id }`,
  )
  assert.match(errors![0]!.message, /depth|complexity/)
})

test('what GraphiQL and the README ask for is far from any limit', async () => {
  assert.equal((await here.ask(getIntrospectionQuery())).errors, undefined)
  const page = `{ runs(first: 50) { nodes { id name status progress { done total } model { name } account { name }
    curves(names: ["loss", "rewards/margins"]) { name points { step value } }
    comparison { tasks { task difference low high candidateEvaluation { scores { metric value } } } } } } }`
  assert.equal((await here.ask(page)).errors, undefined)
})

test('introspection can be switched off, without hurting anything else', async () => {
  const closed = await install({}, { introspection: false })
  assert.match((await closed.ask(getIntrospectionQuery())).errors![0]!.message, /introspection/i)
  assert.equal(
    (await closed.ask('{ __typename viewer { account { name } } }')).data.viewer.account.name,
    'owner',
  )
})
