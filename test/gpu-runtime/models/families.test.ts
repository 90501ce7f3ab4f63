/** The families' golden files (training/gradients.test.ts holds the decoder to them) are worth what their models make of each difference. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import type { Family } from '#schema/families.ts'
import { linears, type Linear } from '#schema/spec.ts'
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

type Change = (c: DecoderConfig) => Partial<DecoderConfig>
const noWindows: Change = (c) => ({ windows: c.windows.map(() => null) })
const unbiased = (names: readonly Linear[]): Change[] =>
  names.map(
    (name) => (c) => (
      assert.ok(c.biases.includes(name)),
      { biases: c.biases.filter((b) => b !== name) }
    ),
  )
const attention = linears.slice(0, 4)

/** Each family's configuration with one of its differences left out. */
const without: { readonly [F in Family]: readonly Change[] } = {
  llama: [(c) => ({ ropes: c.ropes.map((r) => ({ ...r, scaling: null })) }), ...unbiased(linears)],
  mistral: [noWindows],
  qwen2: [noWindows, ...unbiased(['q_proj', 'k_proj', 'v_proj'])],
  qwen3: [() => ({ queryKeyNorm: 'none' }), ...unbiased(attention)],
  smollm3: [
    noWindows,
    (c) => ({ turns: c.turns.map(() => 0) }),
    (c) => ({ turns: c.turns.map(() => null) }),
    ...unbiased(linears),
  ],
  // Without other norms it has no input_layernorm that could stand in their place.
  olmo2: [() => ({ queryKeyNorm: 'none' }), ...unbiased(attention)],
  phi3: [noWindows, (c) => ({ ropes: c.ropes.map((r) => ({ ...r, width: c.headDim })) })],
  granite: [
    (c) => ({ attentionScale: c.headDim ** -0.5 }),
    () => ({ embeddingScale: 1 }),
    () => ({ residualScale: 1 }),
    () => ({ logitScale: 1 }),
    ...unbiased(linears),
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
