import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { LoraSpec } from '#schema/spec.ts'
import { inNf4, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { leastRecompute, planStep } from '#gpu-runtime/training/memory.ts'
import { writeEmptyModel, writeEmptyNf4 } from '#gpu-runtime/doctor/emptyModel.ts'

const directory = mkdtempSync(join(tmpdir(), 'oddsmith-sparse-'))
after(() => rmSync(directory, { recursive: true }))

const GiB = 2 ** 30
const cuda = { device: 'cuda', compute: 'bfloat16' } as const

test('Llama-3-8B in NF4: the smaller the card, the more is computed again; 12 GB with 1 GB of context are enough for two pairs of 1024', async () => {
  const shape = {
    layers: 32,
    hidden: 4096,
    intermediate: 14_336,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    vocabulary: 128_256,
    tiedHead: false,
  }
  await writeEmptyModel(directory, shape)
  await writeEmptyNf4(directory, 'sparse', shape)
  const dense = await openCheckpoint(directory)
  const checkpoint = await inNf4(dense, { revision: 'sparse', cache: directory })
  const recipe = { maxLength: 1024, maxPromptLength: 512 }
  const on = (memory: number) =>
    leastRecompute(checkpoint, LoraSpec.parse({}), recipe, { tokenBudget: 3072 }, cuda, memory)
  const ids = Array.from({ length: 512 }, (_, i) => i)
  const cut = { prompt: 0, chosen: 0, rejected: 0 }
  const pair = { row: 0, prompt: ids, chosen: ids, rejected: ids, cut }
  const { total } = planStep(checkpoint, LoraSpec.parse({}), 'LAYER', [pair, pair], cuda)
  assert.ok(total < 11 * GiB, `${total} bytes`)
  assert.deepEqual([79 * GiB, 23 * GiB, 11 * GiB].map(on), ['NONE', 'ATTENTION', 'LAYER'])
})
