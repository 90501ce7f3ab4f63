/** The families' golden files (training/gradients.test.ts holds the decoder to them) are worth what their models make of each difference. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import type { Family } from '#schema/families.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { DecoderConfig } from '#gpu-runtime/models/config.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { matmul } from '#gpu-runtime/tensor/ops.ts'
import { modelOf, readJson, readTensors } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

/** Each family's configuration with one of its differences left out. */
const without: {
  readonly [F in Family]: readonly ((c: DecoderConfig) => Partial<DecoderConfig>)[]
} = {
  llama: [
    (c) => ({ rope: { ...c.rope, scaling: null } }),
    ...(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const).map(
      (name) => (c: DecoderConfig) => ({ biases: c.biases.filter((b) => b !== name) }),
    ),
  ],
  mistral: [(c) => ({ windows: c.windows.map(() => null) })],
  qwen2: [
    (c) => ({ windows: c.windows.map(() => null) }),
    ...(['q_proj', 'k_proj', 'v_proj'] as const).map((name) => (c: DecoderConfig) => ({
      biases: c.biases.filter((b) => b !== name),
    })),
  ],
}

for (const [family, changes] of Object.entries(without) as [Family, (typeof without)[Family]][])
  test(`${family}: each of its ${changes.length} differences changes the golden logits`, async () => {
    const name = `families/${family}` as const
    const { config, weight } = await openCheckpoint(modelOf(name))
    const golden = (await readTensors(name)).get('logits')!.data
    for (const [i, change] of changes.entries()) {
      const changedConfig = { ...config, ...change(config) }
      const { hidden, head } = decoder(changedConfig, stream(changedConfig, 1), frozen)
      const logits = matmul(hidden, head, { transB: true })
      const session = await engine.open(emit({ outputs: { logits } }, weight))
      const { feeds } = layout(changedConfig, [{ ids: readJson(name).ids }], 1, 0)
      const changed = (await session.run(feeds)).logits!.data
      await session.release()
      const largest = golden.reduce((m, v, at) => Math.max(m, Math.abs(v - changed[at]!)), 0)
      // A hundred times the tolerance of the comparison with the golden logits.
      assert.ok(largest > 1e-2, `difference ${i} changes no logit by more than ${largest}`)
    }
  })
