/** The planner's figure beside the smallest stub card on which onnxruntime's own allocator gets through a training step. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { LoraSpec } from '#schema/spec.ts'
import { inNf4, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { planStep } from '#gpu-runtime/training/memory.ts'
import { writeEmptyModel, writeEmptyNf4 } from '#gpu-runtime/doctor/emptyModel.ts'
import { Card } from './card.ts'
import { noProvider } from './provider.ts'

const card = noProvider ? null : new Card()
const directory = mkdtempSync(join(tmpdir(), 'oddsmith-sparse-'))
after(() => {
  card?.remove()
  rmSync(directory, { recursive: true })
})

/** A quarter of a Llama-3.2-1B. */
const shape = {
  layers: 4,
  hidden: 2048,
  intermediate: 8192,
  heads: 32,
  kvHeads: 8,
  headDim: 64,
  vocabulary: 32_768,
  tiedHead: true,
}
const lora = LoraSpec.parse({})
const ids = Array.from({ length: 512 }, (_, i) => i)
const cut = { prompt: 0, chosen: 0, rejected: 0 }
const pairs = [{ row: 0, prompt: ids, chosen: ids, rejected: ids, cut }]

for (const quantization of ['NONE', 'NF4'] as const)
  for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const)
    test(
      `the planner is within a tenth of the smallest card (base ${quantization}, recompute ${recompute})`,
      { skip: noProvider },
      async () => {
        await writeEmptyModel(directory, shape)
        await writeEmptyNf4(directory, 'sparse', shape)
        const dense = await openCheckpoint(directory)
        const nf4 = quantization === 'NF4' ? directory : null
        const checkpoint = nf4 ? await inNf4(dense, { revision: 'sparse', cache: nf4 }) : dense
        const device = { device: 'cuda', compute: 'bfloat16' } as const
        const { total } = planStep(checkpoint, lora, recompute, pairs, device)
        const argument = {
          model: directory,
          revision: 'sparse',
          nf4,
          compute: device.compute,
          lora,
          recompute,
          pairs,
        }
        const on = async (memory: number) =>
          (await card!.run('step', argument, { quiet: true, memory: Math.round(memory) })).error
        assert.equal(await on(total * 1.1), null)
        assert.match((await on(total * 0.9)) ?? 'no error', /Failed to allocate|out of memory/)
      },
    )
