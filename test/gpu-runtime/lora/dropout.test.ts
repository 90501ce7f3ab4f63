/** LoRA's dropout: against PEFT with the same features dropped (test/golden/variants.py), and as random numbers. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { readHeader, readTensor } from '#gpu-runtime/files/safetensors.ts'
import { drop, dropoutFeeds } from '#gpu-runtime/lora/dropout.ts'
import { key, sites } from '#gpu-runtime/lora/lora.ts'
import { meanHeadRow, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { interpret, value } from '#gpu-runtime/tensor/interpret.ts'
import { constant, expand } from '#gpu-runtime/tensor/ops.ts'
import { denominators, prepare, stepGraph } from '#gpu-runtime/training/step.ts'
import { assertClose } from '../closeness.ts'
import { goldenFile, loraOf, modelOf, readJson, readTensors } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const) {
  test(`loss and gradients are PEFT's with the same features dropped, recomputing ${recompute}`, async () => {
    const golden = readJson<{
      p: number
      seed: number
      step: number
      loss: number
      nll_loss: number
    }>('dropout')
    const tiny = readJson('tiny')
    const checkpoint = await openCheckpoint(modelOf('tiny'))
    const all = sites(checkpoint.config, loraOf(tiny)).flatMap(({ path }) => [
      key(path, 'A'),
      key(path, 'B'),
    ])
    const adapter = await readTensors('tiny')
    await engine.write(
      'trainables',
      Float32Array.from(all.flatMap((name) => [...adapter.get(name)!.data])),
    )
    const spec = { ...loraOf(tiny), dropout: golden.p }
    const graph = stepGraph(checkpoint, spec, tiny.orpo.beta, recompute)
    const session = await engine.open(graph)
    await engine.write('gradient', new Float32Array(graph.parameters))
    const pairs = tiny.pairs
      .slice(0, 2)
      .map((pair, row) => ({ row, ...pair, cut: { prompt: 0, chosen: 0, rejected: 0 } }))
    const head = await meanHeadRow(checkpoint)
    const each = denominators(pairs, { dialect: 'ODDSMITH', nll: null }, 1)
    // Each pair in a run of its own, the last first: what is dropped does not depend on it.
    let [loss, nll] = [0, 0]
    for (const i of [1, 0]) {
      const { feeds } = prepare(
        checkpoint.config,
        [pairs[i]!],
        [each[i]!],
        'PROMPT_AND_CHOSEN',
        head,
        golden,
      )
      const outputs = await session.run(feeds, {
        resident: { trainables: 'trainables' },
        accumulate: { gradient: 'gradient' },
      })
      loss += outputs.loss!.data[0]!
      nll += outputs.nll!.data[0]!
    }
    await session.release()
    assertClose([loss, nll], [golden.loss, golden.nll_loss], { rtol: 1e-5 }, 'loss, nll')
    const gradient = await engine.read('gradient')
    const { tensors } = await readHeader(goldenFile('dropout.safetensors'))
    let at = 0
    for (const name of all) {
      const expected = await readTensor(tensors.get(name)!)
      const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
      const got = gradient.subarray(at, (at += expected.length))
      assertClose(got, expected, { rtol: 1e-4, atol: 2e-5 * largest }, `gradient of ${name}`)
    }
    assert.equal(at, gradient.length)
  })
}

test('without dropout, a step has no coins', async () => {
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const inputs = (dropout: number) => {
    const { inputs } = stepGraph(
      checkpoint,
      { ...loraOf(readJson('tiny')), dropout },
      0.1,
      'ATTENTION',
    )
    return [...inputs.keys()].filter((name) => name.startsWith('dropout'))
  }
  assert.deepEqual(inputs(0), [])
  assert.deepEqual(inputs(0.05), ['dropout0', 'dropout1'])
})

const [tokens, width] = [512, 256]

/** What stays of ones [512, 256], by onnxruntime and by the interpreter, which must agree. */
async function kept(path: string, p: number, step: number, row: number): Promise<Float32Array> {
  const ones = expand(constant([1], [1, 1]), ['N', width])
  const y = drop(path, ones, p)
  const feeds = dropoutFeeds(
    { seed: 42, step },
    [{ row, segment: 0, start: 0, length: tokens }],
    tokens,
  )
  const session = await engine.open(emit({ outputs: { y } }, () => assert.fail('no weights')))
  const outputs = await session.run(feeds)
  await session.release()
  const leaves = Object.entries(feeds).map(
    ([name, { data, shape }]) => [name, value(Array.from(data, Number), shape)] as const,
  )
  const [oracle] = interpret([y], new Map(leaves), new Map([['N', tokens]]))
  assert.deepEqual(Float32Array.from(oracle!.data), outputs.y!.data)
  return outputs.y!.data
}

/** Of two masks of equal rate, 0 where they are independent. */
function correlation(a: Float32Array, b: Float32Array, p: number): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i]! - (1 - p)) * (b[i]! - (1 - p))
  return sum / a.length / (p * (1 - p))
}

test('a part p is dropped: of all places, of every token and of every feature', async () => {
  for (const p of [0.05, 0.5]) {
    const mask = await kept('model.layers.0.self_attn.q_proj', p, 1, 0)
    // Five standard deviations of a binomial; 512 + 256 sums, of which the furthest of independent ones is past four once in 20 runs.
    const near = (count: number, n: number, what: string) =>
      assert.ok(
        Math.abs(count / n - (1 - p)) < 5 * Math.sqrt((p * (1 - p)) / n),
        `${what}: ${count} of ${n} stay, p = ${p}`,
      )
    near(
      mask.reduce((a, b) => a + b, 0),
      mask.length,
      'all',
    )
    for (let t = 0; t < tokens; t++)
      near(
        mask.subarray(t * width, (t + 1) * width).reduce((a, b) => a + b, 0),
        width,
        `token ${t}`,
      )
    for (let f = 0; f < width; f++)
      near(
        mask.filter((_, i) => i % width === f).reduce((a, b) => a + b, 0),
        tokens,
        `feature ${f}`,
      )
    assert.deepEqual(await kept('model.layers.0.self_attn.q_proj', p, 1, 0), mask)
  }
})

test('linears, steps and rows are independent, and so are neighbouring tokens and features', async () => {
  const p = 0.3
  const base = await kept('model.layers.0.self_attn.q_proj', p, 1, 0)
  // Over 131072 places the correlation of independent masks has a standard deviation of 0.0028.
  const limit = 5 / Math.sqrt(tokens * width)
  const others = {
    'another linear': await kept('model.layers.0.self_attn.k_proj', p, 1, 0),
    'another layer': await kept('model.layers.1.self_attn.q_proj', p, 1, 0),
    'another step': await kept('model.layers.0.self_attn.q_proj', p, 2, 0),
    'another row': await kept('model.layers.0.self_attn.q_proj', p, 1, 1),
  }
  for (const [what, other] of Object.entries(others)) {
    const found = correlation(base, other, p)
    assert.ok(Math.abs(found) < limit, `${what}: ${found}`)
  }
  // Shifted by up to 16 tokens or features, and by all combinations of up to four: a lattice would show in one of them.
  const shifts = [
    ...Array.from({ length: 16 }, (_, i) => [i + 1, 0] as const),
    ...Array.from({ length: 16 }, (_, i) => [0, i + 1] as const),
    ...[1, 2, 3, 4].flatMap((t) =>
      [1, 2, 3, 4].flatMap(
        (f) =>
          [
            [t, f],
            [t, -f],
          ] as const,
      ),
    ),
  ]
  for (const [t, f] of shifts) {
    const at = t * width + f
    const found = correlation(base.subarray(0, base.length - at), base.subarray(at), p)
    assert.ok(Math.abs(found) < limit, `shifted by ${t} tokens, ${f} features: ${found}`)
  }
})
