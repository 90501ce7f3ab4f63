/** The families: what their golden files are worth (training/gradients.test.ts holds the decoder to them), scoring, pretraining. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import type { Family } from '#schema/families.ts'
import { linears, Recipe, type Linear } from '#schema/spec.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { DecoderConfig } from '#gpu-runtime/models/config.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { pretrain } from '#gpu-runtime/training/pretrain.ts'
import { scored } from '../inference/scored.ts'
import { assertClose } from '../closeness.ts'
import {
  familyCases,
  flatAdapter,
  logitsOf,
  loraOf,
  modelOf,
  readJson,
  readTensors,
} from '../golden.ts'

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

const gemma: readonly Change[] = [
  () => ({ norms: 'before' }),
  () => ({ normOffset: 0 }),
  () => ({ activation: 'silu' }),
  () => ({ embeddingScale: 1 }),
  (c) => ({ attentionScale: c.headDim ** -0.5 }),
  ...unbiased(attention),
]

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
  // Of where it norms nothing can be left out: without its norms behind it has no input_layernorm that could stand in their place.
  olmo2: [() => ({ queryKeyNorm: 'none' }), ...unbiased(attention)],
  phi3: [noWindows, (c) => ({ ropes: c.ropes.map((r) => ({ ...r, width: c.headDim })) })],
  gemma2: [...gemma, noWindows, () => ({ attentionCap: null }), () => ({ logitCap: null })],
  gemma3_text: [
    ...gemma,
    noWindows,
    () => ({ queryKeyNorm: 'none' }),
    (c) => ({ turns: c.turns.map(() => 0) }),
    (c) => ({ turns: c.turns.map(() => 1) }),
  ],
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
      const logits = logitsOf(decoder(changedConfig, stream(changedConfig, 1), frozen))
      const session = await engine.open(emit({ outputs: { logits } }, weight))
      const { feeds } = layout(changedConfig, [{ ids: readJson(name).ids }], 1, 0)
      const changed = (await session.run(feeds)).logits!.data
      await session.release()
      const largest = golden.reduce((m, v, at) => Math.max(m, Math.abs(v - changed[at]!)), 0)
      // A hundred times the tolerance of the comparison with the golden logits.
      assert.ok(largest > 1e-2, `difference ${i} changes no logit by more than ${largest}`)
    }
  })

for (const name of familyCases) {
  test(`${name}: an adapter's log-probabilities of two answers to one prompt equal PyTorch's, token by token`, async () => {
    const golden = readJson(name)
    const checkpoint = await openCheckpoint(modelOf(name))
    const flat = flatAdapter(checkpoint, golden, await readTensors(name))
    const scorer = await openScorer(engine, checkpoint, [{ spec: loraOf(golden), flat }])
    const { chosen_token_logps, rejected_token_logps } = golden.orpo.per_pair
    const scores = await scored(
      scorer,
      golden.pairs.map(({ prompt, chosen, rejected }) => ({
        context: prompt,
        choices: [chosen, rejected],
        scored: [chosen.length, rejected.length],
      })),
    )
    await scorer.release()
    scores.forEach((choices, i) => {
      const expected = [chosen_token_logps[i]!, rejected_token_logps[i]!]
      choices.forEach(({ tokens }, c) =>
        assertClose(tokens, expected[c]!.slice(-tokens.length), { atol: 1e-4 }, `pair ${i}, ${c}`),
      )
    })
  })

  test(`${name}: a model of the family can be trained from nothing`, async () => {
    const { config } = await openCheckpoint(modelOf(name))
    const { pairs } = readJson(name)
    const run = pretrain({
      // Under the golden cap of 0.7 no loss is below ln(1 + 47 · e^−1.4) = 2.5.
      config: { ...config, logitCap: config.logitCap && 30 },
      engine,
      steps: 30,
      batch: () => pairs.map(({ prompt, chosen }) => [...prompt, ...chosen]),
      recipe: Recipe.parse({ learningRate: 1e-2, warmupSteps: 0 }),
      deviation: 0.1,
      seed: 1,
    })
    const losses: number[] = []
    for await (const { loss } of run) losses.push(loss)
    // A model that knows nothing is off by ln V, or a bit more; two sequences are soon learned.
    assert.ok(Math.abs(losses[0]! - Math.log(config.vocabulary)) < 1, `it begins at ${losses[0]}`)
    assert.ok(losses.at(-1)! < losses[0]! / 2, `it ends at ${losses.at(-1)}`)
  })
}
