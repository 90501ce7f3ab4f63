/** The model and the loss against PyTorch, transformers, TRL and PEFT (test/golden). */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { openCheckpoint, meanHeadRow } from '#gpu-runtime/models/checkpoint.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { lora, key, sites } from '#gpu-runtime/lora/lora.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import {
  denominators,
  nllTokens,
  outcomes,
  prepare,
  stepGraph,
  stepProgram,
} from '#gpu-runtime/training/step.ts'
import { nllOf } from '#schema/spec.ts'
import { floats, type Feeds } from '#gpu-runtime/tensor/feed.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { assertClose } from '../closeness.ts'
import {
  absent,
  cases,
  familyCases,
  flatAdapter,
  logitsOf,
  loraOf,
  modelOf,
  readJson,
  readTensors,
  type CaseName,
  type Golden,
} from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

const asPair = (
  p: { prompt: number[]; chosen: number[]; rejected: number[] },
  row: number,
): Pair => ({ row, ...p, cut: { prompt: 0, chosen: 0, rejected: 0 } })

for (const name of [...cases, ...familyCases]) {
  test(
    `${name}: logits of base and adapter equal transformers' and PEFT's`,
    { skip: absent(name) },
    async () => {
      const golden = readJson(name)
      const checkpoint = await openCheckpoint(modelOf(name))
      const { config, weight } = checkpoint
      const tensors = await readTensors(name)
      await engine.write('trainables', flatAdapter(checkpoint, golden, tensors))
      const { parts, trainables } = lora(config, loraOf(golden))
      const logits = (p: typeof frozen) => logitsOf(decoder(config, stream(config, 1), p))
      const base = await engine.open(emit({ outputs: { logits: logits(frozen) } }, weight))
      const tuned = await engine.open(
        emit({ outputs: { logits: logits(parts) }, trainables }, weight),
      )
      const { feeds } = layout(config, [{ ids: golden.ids }], 1, 0)
      const length = golden.ids.length * config.vocabulary
      // float32 sums in another order: errors scale with the largest logit.
      const close = (got: Float32Array, expected: Float32Array, what: string) =>
        assertClose(
          got,
          expected,
          { rtol: 1e-4, atol: 2e-5 * expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0) },
          what,
        )
      close(
        (await base.run(feeds)).logits!.data.subarray(0, length),
        tensors.get('logits')!.data,
        'base logits',
      )
      const adapted = await tuned.run(feeds, { resident: { trainables: 'trainables' } })
      close(
        adapted.logits!.data.subarray(0, length),
        tensors.get('logits_with_adapter')!.data,
        'adapter logits',
      )
    },
  )

  for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const) {
    for (const nll of nlls(name)) {
      test(
        `${name}: ORPO loss, metrics and the gradient of every LoRA matrix equal TRL's (recompute ${recompute}, NLL over ${nll})`,
        { skip: absent(name) },
        () => compareStep(name, recompute, nll),
      )
    }
  }
}

/** What the golden loss covers: of the families, whose NLL is that of all models, one variant is stored. */
function nlls(name: CaseName) {
  return name.startsWith('families/')
    ? (['PROMPT_AND_CHOSEN'] as const)
    : (['PROMPT_AND_CHOSEN', 'CHOSEN'] as const)
}

for (const [what, dialect, pick] of [
  [
    'likelihood as a mean over rows, as LLaMA-Factory has it',
    'LLAMA_FACTORY',
    ({ orpo }: Golden) => orpo.sequence_nll!,
  ],
  [
    'answers of which one side has a prompt token of its own, as TRL’s merge rule leaves them',
    'TRL_1',
    ({ orpo }: Golden) => orpo.with_lead!,
  ],
] as const) {
  for (const name of cases) {
    test(
      `${name}: ${what}: loss and gradient equal PyTorch's`,
      { skip: absent(name) },
      async () => {
        const golden = readJson(name)
        const checkpoint = await openCheckpoint(modelOf(name))
        await engine.write('trainables', flatAdapter(checkpoint, golden, await readTensors(name)))
        const graph = stepGraph(checkpoint, loraOf(golden), golden.orpo.beta, 'ATTENTION')
        const session = await engine.open(graph)
        await engine.write('gradient', new Float32Array(graph.parameters))
        const pairs = golden.orpo.pairs.map((row): Pair => ({
          ...asPair(golden.pairs[row]!, row),
          ...(dialect === 'TRL_1' ? { lead: golden.orpo.with_lead!.leads[row]! } : {}),
        }))
        const recipe = { dialect, nll: null }
        const prepared = prepare(
          checkpoint.config,
          pairs,
          denominators(pairs, recipe, 1),
          nllOf(recipe),
          await meanHeadRow(checkpoint),
        )
        const outputs = await session.run(prepared.feeds, {
          resident: { trainables: 'trainables' },
          accumulate: { gradient: 'gradient' },
        })
        const expected = pick(golden)
        const scalar = (output: string) => outputs[output]!.data[0]!
        assertClose(
          [scalar('loss'), scalar('nll')],
          [expected.loss, expected.nll_loss],
          { rtol: 1e-5 },
          'loss, nll',
        )
        assertClose(outputs.chosen!.data, expected.chosen_logps, { rtol: 1e-5 }, 'logps/chosen')
        assertClose(
          outputs.rejected!.data,
          expected.rejected_logps,
          { rtol: 1e-5 },
          'logps/rejected',
        )
        const gradient = await engine.read('gradient')
        assertClose(
          [Math.sqrt(gradient.reduce((s, g) => s + g * g, 0))],
          [expected.grad_norm],
          { rtol: 1e-4 },
          'grad_norm',
        )
        await session.release()
      },
    )
  }
}

test(
  'gradients computed from a scaled loss are those of the loss itself, scaled back',
  { skip: absent('tiny') },
  async () => {
    const golden = readJson('tiny')
    const checkpoint = await openCheckpoint(modelOf('tiny'))
    const flat = flatAdapter(checkpoint, golden, await readTensors('tiny'))
    const parameters = flat.length
    await engine.write('trainables', flat)
    const recipe = { dialect: 'ODDSMITH', nll: null } as const
    const pairs = golden.orpo.pairs.map((row) => asPair(golden.pairs[row]!, row))
    const { feeds } = prepare(
      checkpoint.config,
      pairs,
      denominators(pairs, recipe, 1),
      nllOf(recipe),
      await meanHeadRow(checkpoint),
    )
    const compute = async (scaled: boolean, more: Feeds) => {
      const { beta } = golden.orpo
      const program = stepProgram(checkpoint.config, loraOf(golden), beta, 'ATTENTION', scaled)
      const session = await engine.open(emit(program, checkpoint.weight))
      await engine.write('gradient', new Float32Array(parameters))
      await session.run(
        { ...feeds, ...more },
        { resident: { trainables: 'trainables' }, into: { gradient: 'gradient' } },
      )
      await session.release()
      return engine.read('gradient')
    }
    // A power of two moves exponents only: the same bits.
    assert.deepEqual(
      await compute(true, { lossScale: floats([1024], []) }),
      await compute(false, {}),
    )
  },
)

async function compareStep(
  name: CaseName,
  recompute: 'NONE' | 'ATTENTION' | 'LAYER',
  nll: 'PROMPT_AND_CHOSEN' | 'CHOSEN',
) {
  const golden = readJson(name)
  const { orpo } = golden
  const checkpoint = await openCheckpoint(modelOf(name))
  const tensors = await readTensors(name)
  const flat = flatAdapter(checkpoint, golden, tensors)
  await engine.write('trainables', flat)
  const graph = stepGraph(checkpoint, loraOf(golden), orpo.beta, recompute)
  const session = await engine.open(graph)
  const pairs = orpo.pairs.map((row) => asPair(golden.pairs[row]!, row))
  const each = {
    nllTokens: pairs.reduce((n, p) => n + nllTokens(p, nll), 0),
    pairs: pairs.length,
    accumulation: 1,
  }
  const expectedLoss =
    nll === 'CHOSEN'
      ? orpo.answer_nll!
      : { loss: orpo.metrics.loss!, nll_loss: orpo.metrics.nll_loss! }
  const prefix = nll === 'CHOSEN' ? 'grad_answer_nll.' : 'grad.'

  // Both pairs in one run, and one pair a run: how they are batched must not matter.
  for (const batches of [[pairs], pairs.map((p) => [p])]) {
    await engine.write('gradient', new Float32Array(graph.parameters))
    let [loss, nllSum] = [0, 0]
    const all = []
    for (const batch of batches) {
      const prepared = prepare(
        checkpoint.config,
        batch,
        batch.map(() => each),
        nll,
        await meanHeadRow(checkpoint),
      )
      const outputs = await session.run(prepared.feeds, {
        resident: { trainables: 'trainables' },
        accumulate: { gradient: 'gradient' },
      })
      loss += outputs.loss!.data[0]!
      nllSum += outputs.nll!.data[0]!
      all.push(...outcomes(prepared, outputs))
    }
    assertClose(
      [loss, nllSum],
      [expectedLoss.loss, expectedLoss.nll_loss],
      { rtol: 1e-5 },
      'loss, nll',
    )
    assertClose(
      all.map((o) => o.chosen),
      orpo.per_pair.chosen_logps,
      { rtol: 1e-5 },
      'logps/chosen',
    )
    assertClose(
      all.map((o) => o.rejected),
      orpo.per_pair.rejected_logps,
      { rtol: 1e-5 },
      'logps/rejected',
    )
    assertClose(
      all.map((o) => o.logOdds),
      orpo.per_pair.log_odds,
      { rtol: 1e-4, atol: 1e-5 },
      'log odds',
    )
    assertClose(
      all.map((o) => o.ratio),
      orpo.per_pair.log_odds_ratio,
      { rtol: 1e-4, atol: 1e-5 },
      'log odds ratio',
    )
    // Of capped logits ours are the means before the cap, TRL's after it.
    for (const side of checkpoint.config.logitCap === null
      ? (['chosen', 'rejected'] as const)
      : []) {
      const sums = all.map((o) => o[`${side}Logits`])
      const mean = sums.reduce((s, o) => s + o.sum, 0) / sums.reduce((s, o) => s + o.count, 0)
      assertClose(
        [mean],
        [orpo.logits_means.predicting[side]],
        { rtol: 1e-4, atol: 1e-5 },
        `logits/${side}`,
      )
    }
    const gradient = await engine.read('gradient')
    let at = 0
    for (const { path, ...site } of sites(checkpoint.config, loraOf(golden))) {
      for (const [matrix, size] of [
        ['A', golden.lora.r * site.in],
        ['B', golden.lora.r * site.out],
      ] as const) {
        const expected = tensors.get(prefix + key(path, matrix))!.data
        const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
        assertClose(
          gradient.subarray(at, at + size),
          expected,
          { rtol: 1e-4, atol: 2e-5 * largest },
          `gradient of ${key(path, matrix)}`,
        )
        at += size
      }
    }
    assert.equal(at, gradient.length)
  }
  await session.release()
}

test(
  'the step graph of a model has no node that no output needs',
  { skip: absent('tiny') },
  async () => {
    const { config } = await openCheckpoint(modelOf('tiny'))
    const { gradients } = stepProgram(config, loraOf(readJson('tiny')), 0.1, 'ATTENTION')
    assert.equal(gradients!.length, 2 * 7 * config.layers)
  },
)
