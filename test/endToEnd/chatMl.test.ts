/** A model without a chat template: its adapter brings ChatML's tokens, and a process that has only the stored files scores the same. */
import assert from 'node:assert/strict'
import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { loadAdapter } from '#gpu-runtime/lora/peft.ts'
import { withAddedTokens } from '#gpu-runtime/models/addedTokens.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { openChatMl } from '#gpu-runtime/text/chatMl.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { install, smallTraining } from './installation.ts'

const there = await install()

/** The embedded model, its special tokens renamed and its template taken away. */
const path = join(there.inputs, 'model')
await cp(embedded.model, path, { recursive: true })
const renamed = (text: string) =>
  text.replaceAll('<|im_start|>', '<s>').replaceAll('<|im_end|>', '</s>')
const file = (name: string) => join(path, name)
await writeFile(file('tokenizer.json'), renamed(await readFile(file('tokenizer.json'), 'utf8')))
const { chat_template: _, ...config } = JSON.parse(
  renamed(await readFile(file('tokenizer_config.json'), 'utf8')),
)
await writeFile(file('tokenizer_config.json'), JSON.stringify(config))

const questions = join(there.inputs, 'arc_easy.jsonl')
const row = (i: number) => ({
  id: String(i),
  question: `Which is bigger, the ${['ant', 'mouse', 'cat'][i % 3]} or the ${['horse', 'bear'][i % 2]}?`,
  choices: { text: ['the ant', 'the mouse', 'the horse', 'the bear'], label: ['A', 'B', 'C', 'D'] },
  answerKey: 'C',
})
await writeFile(
  questions,
  Array.from({ length: 8 }, (_row, i) => JSON.stringify(row(i))).join('\n'),
)
const plain = (limit: number) => ({ tasks: [{ task: 'arc_easy', rows: questions, limit }] })

const { run, events } = await there.ended(
  await there.train({ ...smallTraining, model: { path }, evaluate: plain(8) }),
)

async function likelihoods(evaluation: string): Promise<number[][]> {
  const document =
    'query ($id: ID!) { evaluation(id: $id) { samples(first: 100) { nodes { document choices { logLikelihood } } } } }'
  const { nodes } = (await there.client.query<any>(document, { id: evaluation })).evaluation.samples
  return nodes
    .toSorted((a: any, b: any) => a.document - b.document)
    .map(({ choices }: any) => choices.map((c: any) => c.logLikelihood))
}

test('it is trained, and scored beside its base', () => {
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(events.at(-1)))
  assert.equal(run.evaluations.length, 2)
  assert.deepEqual(
    run.comparison.tasks.map(({ n }: any) => n),
    [8, 8],
  )
})

test('its artifacts are PEFT’s files and the tokenizer’s; the two tokens’ rows were trained', async () => {
  const files = run.artifacts.filter(({ kind }: any) => kind === 'ADAPTER')
  assert.deepEqual(files.map(({ name }: any) => name).toSorted(), [
    'adapter_config.json',
    'adapter_model.safetensors',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  const directory = join(there.inputs, 'adapter')
  await mkdir(directory)
  for (const { id, name } of files)
    await copyFile(there.artifact(run.id, id), join(directory, name))
  const text = await openText(directory)
  const base = await openCheckpoint(path)
  const chat = await openChatMl(path)
  assert.deepEqual(
    [chat.addedTokens, text.bosId, text.eosId],
    [2, chat.vocabulary, chat.vocabulary + 1],
  )
  const { flat, spec } = await loadAdapter(directory, withAddedTokens(base, chat))
  const { modules_to_save: saved } = JSON.parse(
    await readFile(join(directory, 'adapter_config.json'), 'utf8'),
  )
  assert.deepEqual(saved, ['embed_tokens', 'lm_head'])
  assert.equal(spec.r, 4)
  const [start, end] = [2, 1].map((i) => {
    const to = flat.length - (i - 1) * base.config.hidden
    return flat.subarray(to - base.config.hidden, to)
  })
  assert.notDeepEqual(start, end, 'they began alike and have parted')
})

test('another process scores the stored adapter as the one that trained it did', async () => {
  const again = await there.ended(await there.evaluate({ adapterId: run.adapter.id, ...plain(7) }))
  assert.equal(again.run.status, 'SUCCEEDED', JSON.stringify(again.events.at(-1)))
  const tuned = run.evaluations.find(({ adapter }: any) => adapter !== null)
  const [now, then] = [await likelihoods(again.run.evaluations[0].id), await likelihoods(tuned.id)]
  assert.equal(now.length, 7)
  // Float32 sums in another order: other documents share a run.
  now.forEach((choices, d) =>
    choices.forEach((x, c) => assert.ok(Math.abs(x - then[d]![c]!) < 1e-4, `${x}, ${then[d]![c]}`)),
  )
})

test('what a task writes by the template is asked of the adapter in ChatML, and cannot be asked of the base', async () => {
  const task = { tasks: [{ task: 'who_is_bigger', limit: 8 }] }
  const tuned = await there.ended(await there.evaluate({ adapterId: run.adapter.id, ...task }))
  assert.equal(tuned.run.status, 'SUCCEEDED', JSON.stringify(tuned.events.at(-1)))
  const base = await there.ended(await there.evaluate({ model: { path }, ...task }))
  assert.equal(base.run.status, 'FAILED')
  assert.match(base.run.failure.message, /no chat template/)
})
