/**
 * From rows to log-likelihoods of stories260K: those that lm-evaluation-harness computes with PyTorch
 * from the same rows, contexts that are longer than the model's 512 positions among them
 * (test/golden/evaluation.py and suites.py).
 */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { prepareTask } from '#gpu-runtime/evaluation/prepare.ts'
import { evaluate } from '#gpu-runtime/evaluation/run.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import type { TaskDialect } from '#schema/tasks.ts'
import { absent, modelOf } from '../golden.ts'
import { shared } from '../shared.ts'
import { golden, rowsOf } from './evaluationGolden.ts'
import { suites } from './suitesGolden.ts'
import { settingsOf } from './harness.ts'

const skip = absent('stories260K')
const engine = new Engine(1)
after(() => engine.close())
const directory = modelOf('stories260K')

const sum = (xs: readonly number[]) => xs.reduce((total, x) => total + x, 0)

/** Of the first documents, in the dialect's order: the log-likelihood of each choice. */
async function logLikelihoods(
  task: string,
  dialect: TaskDialect,
  rows: string,
  limit: number,
  { examples = null, fewShot = 0 }: { examples?: string | null; fewShot?: number } = {},
) {
  const checkpoint = await openCheckpoint(directory)
  const asker = { text: await openText(directory), maxPositions: checkpoint.config.maxPositions }
  const signal = new AbortController().signal
  const bos = dialect === 'NOUS' ? 'NEVER' : 'TOKENIZER'
  const settings = settingsOf({ task, dialect, bos, limit, fewShot })
  const prepared = await prepareTask(settings, { rows, examples }, asker, signal)
  const scorer = await openScorer(engine, checkpoint, [null])
  const found = new Map<number, number[]>()
  for await (const { samples } of evaluate(prepared, scorer, 1024, signal))
    for (const { document, choices } of samples[0]!)
      found.set(
        document,
        choices.map(({ logLikelihood }) => logLikelihood!),
      )
  await scorer.release()
  return prepared.documents.map(({ index }) => found.get(index)!)
}

function assertNear(found: readonly number[][], expected: readonly number[][]): void {
  const off = expected.map((choices, d) =>
    choices.map((value, c) => Math.abs(found[d]![c]! - value)),
  )
  assert.deepEqual(
    found.map(({ length }) => length),
    expected.map(({ length }) => length),
  )
  for (const [d, choices] of off.entries())
    for (const [c, difference] of choices.entries())
      assert.ok(difference < 1e-3, `document ${d}, choice ${c}: off by ${difference}`)
}

for (const [name, asked] of Object.entries(golden.tasks))
  test(`${name}: log-likelihoods of stories260K are PyTorch’s`, { skip }, async () => {
    const expected = asked.logLikelihoods
    const found = await logLikelihoods(name, 'LM_EVAL', await rowsOf(name, asked), expected.length)
    if (findTask(name, 'LM_EVAL').kind !== 'loglikelihood_rolling')
      return assertNear(found, expected)
    // Of a page the harness says the sum over its windows, up to 29 of 512 tokens: their mean is held to the same.
    assertNear(
      found.map((windows) => [sum(windows) / windows.length]),
      found.map((windows, d) => [sum(expected[d]!) / windows.length]),
    )
  })

test(
  'truthfulqa_mc: log-likelihoods of stories260K are PyTorch’s, without BOS',
  { skip },
  async () => {
    const rows = shared(`data/${golden.tasks.truthfulqa_mc1!.rows}`)
    const expected = golden.truthfulqa_mc
    assertNear(await logLikelihoods('truthfulqa_mc', 'NOUS', rows, expected.length), expected)
  },
)

for (const [task, { dialect, fewShot, values }] of Object.entries(suites.logLikelihoods))
  test(`${task}: log-likelihoods of stories260K are PyTorch’s`, { skip }, async () => {
    const name = task.replace(/^[a-z]+_/, '')
    const { rows, examples } = task.startsWith('mmlu_')
      ? { rows: `mmlu/test/${name}_test.csv`, examples: shared(`data/mmlu/dev/${name}_dev.csv`) }
      : { rows: `bigbench-nous/${name}.json`, examples: null }
    const asked = { examples, fewShot }
    const found = await logLikelihoods(task, dialect, shared(`data/${rows}`), values.length, asked)
    assertNear(found, values)
  })
