/** The embedded model is no toy trick: what it knows before tuning, and that nothing in the rows gives the answers away. */
import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import test, { after } from 'node:test'
import { prepareTask } from '#gpu-runtime/evaluation/prepare.ts'
import { evaluate } from '#gpu-runtime/evaluation/run.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { embedded } from '#demo/embedded.ts'
import { tokenizerConfig, tokenizerJson } from '#demo/tokenizer.ts'
import { dataFiles } from '#demo/data.ts'
import { settingsOf } from '#test/gpu-runtime/evaluation/harness.ts'

const engine = new Engine(2)
after(() => engine.close())

const signal = new AbortController().signal

test('the base model is right in 45 % to 55 % of at least 400 benchmark documents', async () => {
  const checkpoint = await openCheckpoint(embedded.model)
  const text = await openText(embedded.model)
  const task = await prepareTask(
    settingsOf({ task: 'who_is_bigger' }),
    { rows: embedded.benchmark, examples: null },
    { text, maxPositions: checkpoint.config.maxPositions },
    signal,
  )
  assert.ok(task.documents.length >= 400, `${task.documents.length} documents`)
  const scorer = await openScorer(engine, checkpoint, [null])
  let right = 0
  for await (const { samples } of evaluate(task, scorer, 2048, signal)) {
    for (const { scores } of samples[0]!) right += scores.acc!
  }
  const accuracy = right / task.documents.length
  assert.ok(accuracy >= 0.45 && accuracy <= 0.55, `accuracy ${accuracy}`)
})

test('model, rows and benchmark together are well under 3 MB', async () => {
  const files = ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'config.json'].map(
    (f) => `${embedded.model}/${f}`,
  )
  const sizes = await Promise.all(
    [...files, embedded.dataset, embedded.benchmark].map(async (f) => (await stat(f)).size),
  )
  assert.ok(sizes.reduce((a, b) => a + b, 0) < 2e6, `${sizes}`)
})

test('tokenizer, rows and benchmark are those that the language generates', async () => {
  const json = async (file: string): Promise<unknown> =>
    JSON.parse(await readFile(`${embedded.model}/${file}`, 'utf8'))
  assert.deepEqual(await json('tokenizer.json'), JSON.parse(JSON.stringify(tokenizerJson())))
  assert.deepEqual(await json('tokenizer_config.json'), tokenizerConfig())
  assert.equal(await readFile(embedded.dataset, 'utf8'), dataFiles['preferences.jsonl']())
  assert.equal(await readFile(embedded.benchmark, 'utf8'), dataFiles['benchmark.jsonl']())
})
