/** taskPreview by a real runtime: the exact requests, in texts and tokens, while another run keeps the one place for work. */
import assert from 'node:assert/strict'
import { appendFile, copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { install } from './installation.ts'

const document = `query ($model: ModelInput, $task: EvaluateTaskInput!, $first: Int, $after: Int) {
  taskPreview(model: $model, task: $task, first: $first, after: $after) {
    __typename
    ... on TaskPreview {
      documents promptHash
      shown { document hash gold answers until maxTokens
              requests { context continuation contextTokens continuationTokens } }
    }
    ... on InvalidInput { issues { path message } }
    ... on Problem { message }
  }
}`

const { client, inputs, train, until } = await install()
const preview = async (task: object, page: object = {}) =>
  (
    await client.query<Record<string, any>>(document, {
      model: { path: embedded.model },
      task,
      ...page,
    })
  )['taskPreview']
const rows = join(inputs, 'rows.jsonl')
await copyFile(embedded.benchmark, rows)

test('a preview shows what is asked, and does not wait for a training', async () => {
  const training = await train({
    model: { path: embedded.model },
    dataset: { path: embedded.dataset },
    recipe: { maxSteps: 5000 },
  })
  await until(training, ({ type }) => type === 'metrics')
  const found = await preview({ task: 'who_is_bigger', rows }, { first: 2, after: 1 })
  assert.equal(found.__typename, 'TaskPreview', JSON.stringify(found))
  assert.deepEqual([found.documents, found.shown.length], [440, 2])
  const text = await openText(embedded.model)
  const [{ document: row, requests, gold, answers, until: ends, maxTokens }] = found.shown
  assert.deepEqual([row, ends, maxTokens], [1, [], null])
  assert.equal(requests.length, answers.length)
  assert.ok(gold >= 0 && gold < answers.length)
  for (const [
    i,
    { context, continuation, contextTokens, continuationTokens },
  ] of requests.entries()) {
    assert.match(context, /which is bigger/)
    assert.equal(continuation, answers[i])
    assert.equal(
      text.decode([...contextTokens, ...continuationTokens], { skipSpecial: false }),
      context + continuation,
    )
  }
  const again = await preview({ task: 'who_is_bigger', rows }, { first: 2, after: 1 })
  assert.deepEqual(again, found)
  const kinds = async (filter: string) =>
    (
      await client.query<Record<string, any>>(
        `{ runs(filter: ${filter}) { nodes { kind status } } }`,
        {},
      )
    )['runs'].nodes
  // Asked twice, looked at once; and lists of runs are about work.
  assert.deepEqual(await kinds('{kind: INSPECT}'), [{ kind: 'INSPECT', status: 'SUCCEEDED' }])
  assert.deepEqual(
    (await kinds('{}')).map(({ kind }: { kind: string }) => kind),
    ['TRAIN'],
  )
})

test('what is wrong with the rows, and with what is asked, is said', async () => {
  const bad = join(inputs, 'bad.jsonl')
  await writeFile(bad, '')
  await appendFile(bad, '{"messages": [], "choices": ["a", "b"], "gold": 0}\n')
  const found = await preview({ task: 'who_is_bigger', rows: bad })
  assert.equal(found.__typename, 'InvalidInput')
  assert.match(found.issues[0].message, /row 0 .*messages is \[\], expected a list/)
  const many = await preview({ task: 'who_is_bigger', rows }, { first: 51 })
  assert.deepEqual(many.issues[0].path, ['first'])
  const unknown = await preview({ task: 'who_is_biger' })
  assert.match(unknown.issues[0].message, /expected one of who_is_bigger, .*got "who_is_biger"/)
})
