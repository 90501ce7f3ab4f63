/** Log-likelihoods against PyTorch (test/golden), and what they must not depend on. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { openScorer, type ScoreRequest, type Tuned } from '#gpu-runtime/inference/score.ts'
import { loadAdapter, saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { initial } from '#gpu-runtime/lora/lora.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { matmul } from '#gpu-runtime/tensor/ops.ts'
import { assertClose } from '../closeness.ts'
import { absent, loraOf, modelOf, readJson, type Golden } from '../golden.ts'
import { bare, scored } from './scored.ts'

const engine = new Engine(1)
after(() => engine.close())

const requestsOf = (golden: Golden): ScoreRequest[] =>
  golden.choices.map(({ context, continuations }) => ({
    context,
    choices: continuations.map((c) => c.ids),
    scored: continuations.map((c) => c.ids.length),
  }))

test(
  'log-likelihoods of stories260K equal PyTorch’s, token by token, whatever is scored together',
  { skip: absent('stories260K') },
  async () => {
    const golden = readJson('stories260K')
    const scorer = await openScorer(engine, await openCheckpoint(modelOf('stories260K')), [null])
    const requests = requestsOf(golden)
    const together = await scored(scorer, requests)
    const alone = (await Promise.all(requests.map((r) => scored(scorer, [r])))).flat()
    golden.choices.forEach(({ continuations }, d) =>
      continuations.forEach(({ sum, tokens }, c) => {
        assertClose(together[d]![c]!.tokens, tokens, { atol: 1e-4 }, `document ${d}, choice ${c}`)
        assertClose(
          [together[d]![c]!.logLikelihood],
          [sum],
          { atol: 1e-3 },
          `sum of document ${d}, choice ${c}`,
        )
        assertClose(
          alone[d]![c]!.tokens,
          together[d]![c]!.tokens,
          { atol: 1e-5 },
          `alone against together: document ${d}, choice ${c}`,
        )
      }),
    )
  },
)

test(
  'stories260K continues greedily as the reference does',
  { skip: absent('stories260K') },
  async () => {
    const { ids } = JSON.parse(
      readFileSync(join(modelOf('stories260K'), 'greedy_reference.json'), 'utf8'),
    ) as { ids: number[] }
    const { config, weight } = await openCheckpoint(modelOf('stories260K'))
    const { hidden, head } = decoder(config, stream(config, 1), frozen)
    const session = await engine.open(
      emit({ outputs: { logits: matmul(hidden, head, { transB: true }) } }, weight),
    )
    const { logits } = await session.run(layout(config, [{ ids }], 1, 0).feeds)
    for (let t = 0; t + 1 < ids.length; t++) {
      const row = logits!.data.subarray(t * config.vocabulary, (t + 1) * config.vocabulary)
      assert.equal(row.indexOf(row.reduce((a, b) => Math.max(a, b))), ids[t + 1], `token ${t + 1}`)
    }
  },
)

test(
  'an adapter is scored without merging, and one that has learned nothing scores as the base',
  { skip: absent('stories260K') },
  async () => {
    const checkpoint = await openCheckpoint(modelOf('stories260K'))
    const spec = loraOf(readJson('stories260K'))
    const flat = initial(checkpoint.config, spec, 7)
    const requests = requestsOf(readJson('stories260K'))
    const moved = { spec, flat: flat.map((x) => x + 0.02) }
    const alone = async (subject: Tuned | null) =>
      await scored(await openScorer(engine, checkpoint, [subject]), requests)
    const base = await alone(null)
    assert.deepEqual(await alone({ spec, flat }), base)
    assert.notDeepEqual(await alone(moved), base)
    // Side by side they get what each gets alone.
    const scorer = await openScorer(engine, checkpoint, [moved, null, { spec, flat }])
    assert.deepEqual(await scorer.score(bare(requests)), [await alone(moved), base, base])
  },
)

test('an adapter written in PEFT’s layout comes back value for value, and always as the same bytes', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-peft-'))
  try {
    const checkpoint = await openCheckpoint(modelOf('tiny'))
    const { config } = checkpoint
    const spec = loraOf(readJson('tiny'))
    const flat = initial(config, spec, 1)
    await saveAdapter(directory, checkpoint, spec, flat, 'tiny')
    const bytes = await readFile(join(directory, 'adapter_model.safetensors'))
    const loaded = await loadAdapter(directory, checkpoint)
    assert.deepEqual(loaded.flat, flat)
    assert.deepEqual(loaded.spec, spec)
    await saveAdapter(directory, checkpoint, spec, flat, 'tiny')
    assert.deepEqual(await readFile(join(directory, 'adapter_model.safetensors')), bytes)
    const other = await openCheckpoint(modelOf('tiny-llama3'))
    await assert.rejects(
      loadAdapter(directory, other),
      /tensor "base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight" is \[4,64\], expected \[4,48\]/,
    )
  } finally {
    await rm(directory, { recursive: true })
  }
})
