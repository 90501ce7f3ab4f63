/** Training on an NF4 base: the graph's dequantization, its gradients, and the file that quantizes once. */
import assert from 'node:assert/strict'
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import test, { after } from 'node:test'
import { FormatError } from '#gpu-runtime/error.ts'
import {
  readBytes,
  readHeader,
  readTensor,
  writeSafetensors,
  type NewTensor,
} from '#gpu-runtime/files/safetensors.ts'
import { openGenerator } from '#gpu-runtime/inference/generate.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { key, sites } from '#gpu-runtime/lora/lora.ts'
import {
  inNf4,
  meanHeadRow,
  openCheckpoint,
  type Checkpoint,
} from '#gpu-runtime/models/checkpoint.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { quantizeAbsmax } from '#gpu-runtime/quantization/absmax.ts'
import { quantize } from '#gpu-runtime/quantization/nf4.ts'
import { storedNf4 } from '#gpu-runtime/quantization/store.ts'
import type { Nf4Weight } from '#gpu-runtime/tensor/storedWeight.ts'
import type { Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { weight } from '#gpu-runtime/tensor/ops.ts'
import { denominators, outcomes, prepare, stepGraph } from '#gpu-runtime/training/step.ts'
import { scored } from '../inference/scored.ts'
import { assertClose } from '../closeness.ts'
import { absent, loraOf, modelOf, readJson, readTensors, type CaseName } from '../golden.ts'
import { dequantize, dequantizeAbsmax } from './reference.ts'

const engine = new Engine(1)
const scratch = await mkdtemp(join(tmpdir(), 'oddsmith-test-'))
after(async () => {
  await engine.close()
  await rm(scratch, { recursive: true })
})
const cache = join(scratch, 'cache')
const golden = await readHeader(resolve(import.meta.dirname, '../../golden/nf4.safetensors'))

/** A copy of a case's model, so that nothing is written beside the original. */
async function copyOf(name: CaseName, as: string): Promise<string> {
  const directory = join(scratch, as)
  await cp(modelOf(name), directory, { recursive: true })
  return directory
}

/** ORPO's loss and metrics, and the gradients as one vector, of pairs 0 and 1 under the random adapter. */
async function step(checkpoint: Checkpoint, name: CaseName, recompute: Recompute) {
  const { orpo, pairs: all, ...rest } = readJson(name)
  const spec = loraOf({ orpo, pairs: all, ...rest })
  const tensors = await readTensors(name)
  const adapter = sites(checkpoint.config, spec).flatMap(({ path }) =>
    (['A', 'B'] as const).flatMap((matrix) => [...tensors.get(key(path, matrix))!.data]),
  )
  const graph = stepGraph(checkpoint, spec, orpo.beta, recompute)
  const session = await engine.open(graph)
  await engine.write('trainables', Float32Array.from(adapter))
  await engine.write('gradient', new Float32Array(graph.parameters))
  const pairs = orpo.pairs.map((row) => ({
    row,
    ...all[row]!,
    cut: { prompt: 0, chosen: 0, rejected: 0 },
  }))
  const nll = 'PROMPT_AND_CHOSEN'
  const prepared = prepare(
    checkpoint.config,
    pairs,
    denominators(pairs, { dialect: 'ODDSMITH', nll }, 1),
    nll,
    await meanHeadRow(checkpoint),
  )
  const outputs = await session.run(prepared.feeds, {
    resident: { trainables: 'trainables' },
    accumulate: { gradient: 'gradient' },
  })
  await session.release()
  return {
    loss: outputs.loss!.data[0]!,
    nll: outputs.nll!.data[0]!,
    outcomes: outcomes(prepared, outputs),
    gradient: await engine.read('gradient'),
  }
}

test('the graph makes of the stored codes what bitsandbytes makes of its own, bit by bit', async () => {
  const codes = [...golden.tensors.keys()].filter((name) => name.endsWith('.codes'))
  const tensors = codes.map((name) => golden.tensors.get(name.replace(/codes$/, 'weight'))!)
  const stored = await storedNf4(tensors, { revision: 'cases', directory: scratch, cache })
  const outputs = Object.fromEntries(tensors.map((t, i) => [`w${i}`, weight(t.name, t.shape)]))
  const session = await engine.open(emit({ outputs }, (name) => stored.get(name)!))
  const made = await session.run({})
  for (const [i, { name }] of tensors.entries()) {
    const wanted = golden.tensors.get(name.replace(/weight$/, 'dequantized'))!
    const { data, shape } = made[`w${i}`]!
    assert.deepEqual(shape, wanted.shape)
    assert.deepEqual(
      new Uint32Array(data.buffer, data.byteOffset, data.length),
      new Uint32Array(await readBytes(wanted)),
      name,
    )
  }
  await session.release()
})

test('loss, metrics and the gradient of every LoRA matrix equal TRL’s on a base that bitsandbytes holds', async () => {
  const checkpoint = await inNf4(await openCheckpoint(await copyOf('tiny', 'trl')), {
    revision: 'trl',
    cache,
  })
  const { metrics } = readJson<{ qlora: { metrics: Record<string, number> } }>('nf4').qlora
  const { loss, nll, outcomes, gradient } = await step(checkpoint, 'tiny', 'ATTENTION')
  assertClose([loss, nll], [metrics.loss!, metrics.nll_loss!], { rtol: 1e-5 }, 'loss, nll')
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
  assertClose(
    [
      mean(outcomes.map((o) => o.chosen)),
      mean(outcomes.map((o) => o.rejected)),
      mean(outcomes.map((o) => o.ratio)),
    ],
    [metrics['logps/chosen']!, metrics['logps/rejected']!, metrics.log_odds_ratio!],
    { rtol: 1e-5 },
    'logps and ratio',
  )
  let at = 0
  for (const { path } of sites(checkpoint.config, loraOf(readJson('tiny')))) {
    for (const matrix of ['A', 'B'] as const) {
      const expected = await readTensor(golden.tensors.get(`qlora.${key(path, matrix)}`)!)
      const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
      const got = gradient.subarray(at, (at += expected.length))
      assertClose(got, expected, { rtol: 1e-4, atol: 2e-5 * largest }, key(path, matrix))
    }
  }
  assert.equal(at, gradient.length)
})

/** The same model with the linears of its layers as the floats that their codes stand for. */
async function dequantizedCopy(name: CaseName, as = `${name}-dequantized`): Promise<string> {
  const directory = await copyOf(name, as)
  const { tensors } = await openCheckpoint(directory)
  const dense: NewTensor[] = []
  for (const info of tensors.values()) {
    const values = await readTensor(info)
    const { name: tensor, shape } = info
    const linear = tensor.startsWith('model.layers.') && shape.length === 2
    const { codes, absmax } = quantize(values, tensor)
    const again = dequantize(codes, dequantizeAbsmax(quantizeAbsmax(absmax)))
    dense.push({
      name: tensor,
      dtype: 'F32',
      shape,
      data: linear ? again.subarray(0, values.length) : values,
    })
  }
  for (const file of await readdir(directory))
    if (file.includes('safetensors')) await rm(join(directory, file))
  await writeSafetensors(join(directory, 'model.safetensors'), dense)
  return directory
}

for (const name of ['tiny-llama3', 'stories260K'] as const) {
  test(
    `${name}: gradients on the NF4 base are those on its dequantized floats`,
    { skip: absent(name) },
    async () => {
      const floats = await openCheckpoint(await dequantizedCopy(name))
      const nf4 = await inNf4(await openCheckpoint(await copyOf(name, name)), {
        revision: name,
        cache,
      })
      const full = await step(await openCheckpoint(modelOf(name)), name, 'ATTENTION')
      for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const) {
        const [got, expected] = [
          await step(nf4, name, recompute),
          await step(floats, name, recompute),
        ]
        const largest = expected.gradient.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
        assertClose([got.loss], [expected.loss], { rtol: 1e-6 }, 'loss')
        assertClose(
          got.gradient,
          expected.gradient,
          { atol: 1e-6 * largest },
          `gradient (${recompute})`,
        )
        assert.ok(
          Math.abs(full.loss - got.loss) > 1e-4 * full.loss,
          'four bits are not the whole weight',
        )
      }
    },
  )
}

test(
  'stories260K on NF4 scores and generates as on its dequantized floats',
  { skip: absent('stories260K') },
  async () => {
    const options = { revision: 'inference', cache }
    const plain = await openCheckpoint(await copyOf('stories260K', 'inference'))
    const [nf4, floats] = [
      await inNf4(plain, options),
      await openCheckpoint(await dequantizedCopy('stories260K', 'inference-dequantized')),
    ]
    const [document] = readJson('stories260K').choices
    const continuations = document!.continuations.map(({ ids }) => ids)
    const read = async (checkpoint: Checkpoint) => {
      const scorer = await openScorer(engine, checkpoint, [null])
      const lengths = continuations.map(({ length }) => length)
      const [scores] = await scored(scorer, [
        { context: document!.context, choices: continuations, scored: lengths },
      ])
      await scorer.release()
      const generator = await openGenerator(engine, checkpoint, null)
      const ids: number[] = []
      const greedy = { maxTokens: 24, stopIds: [], temperature: 0 }
      for await (const [made] of generator.generate([document!.context], greedy)) ids.push(...made!)
      await generator.release()
      return { logLikelihoods: scores!.map((s) => s.logLikelihood), ids }
    }
    const [got, expected] = [await read(nf4), await read(floats)]
    assertClose(got.logLikelihoods, expected.logLikelihoods, { rtol: 1e-6 }, 'log-likelihoods')
    assert.equal(got.ids.length, 24)
    assert.deepEqual(got.ids, expected.ids)
  },
)

test('a weight is made dense anew for each use, and never kept from the forward pass to the backward pass', async () => {
  const opened = await openCheckpoint(await copyOf('tiny', 'uses'))
  const checkpoint = await inNf4(opened, { revision: 'uses', cache })
  const linears = [...opened.tensors.keys()].filter((n) => checkpoint.weight(n).dtype === 'nf4')
  for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const) {
    const { node } = stepGraph(checkpoint, loraOf(readJson('tiny')), 0.1, recompute).graph
    const uses = new Map<string, number>()
    for (const input of node.flatMap((n) => n.input)) uses.set(input, (uses.get(input) ?? 0) + 1)
    for (const name of linears) {
      const values = node.flatMap((n) => n.output).filter((o) => o.startsWith(`${name}#`))
      assert.ok(values.every((value) => uses.get(value) === 1))
      const products = node.filter(
        ({ opType, input }) => /MatMul/.test(opType) && input.some((i) => values.includes(i)),
      )
      // Forward and backward; nothing is asked of what comes before the first layer's first linears.
      const first = /layers\.0\.self_attn\.[qkv]_proj/.test(name)
      assert.ok(products.length >= (first ? 1 : 2), `${name}: ${products.length} products`)
    }
  }
})

test('a model is quantized once: the second start finds the file, and other content makes another', async () => {
  const directory = await copyOf('tiny', 'twice')
  const folder = join(directory, '.oddsmith')
  const quantized = async (revision: string) => {
    const checkpoint = await inNf4(await openCheckpoint(directory), { revision, cache })
    const name = 'model.layers.0.mlp.up_proj.weight'
    const { file } = (checkpoint.weight(name) as Nf4Weight).codes
    const { ino, mtimeMs } = await stat(file)
    return { file, ino, mtimeMs, bytes: await readFile(file) }
  }
  const first = await quantized('a')
  assert.equal(dirname(first.file), folder)
  assert.deepEqual(await quantized('a'), first)
  assert.deepEqual(await readdir(folder), [basename(first.file)])
  const other = await quantized('b')
  assert.deepEqual([other.bytes, (await readdir(folder)).length], [first.bytes, 2])

  // What a cut copy or another model left behind under the name is written anew.
  await writeFile(first.file, first.bytes.subarray(0, -100))
  assert.deepEqual((await quantized('a')).bytes, first.bytes)
  await writeSafetensors(first.file, [
    { name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(1) },
  ])
  assert.deepEqual((await quantized('a')).bytes, first.bytes)
})

test('what a writer that was killed left behind goes, what one that writes has is left alone', async () => {
  const directory = await copyOf('tiny', 'killed')
  const folder = join(directory, '.oddsmith')
  await mkdir(folder)
  const partial = (name: string) => join(folder, `.nf4-1-${name}.safetensors.7-0a1b2c3d.partial`)
  for (const name of ['old', 'young']) await writeFile(partial(name), 'half')
  const hourAgo = Date.now() / 1000 - 3600
  await utimes(partial('old'), hourAgo, hourAgo)
  await inNf4(await openCheckpoint(directory), { revision: 'killed', cache })
  const left = (await readdir(folder)).map((name) => join(folder, name)).toSorted()
  assert.deepEqual(left, [partial('young'), join(folder, 'nf4-1-killed.safetensors')].toSorted())
})

test('only matrices of the layers are quantized', async () => {
  const plain = await openCheckpoint(modelOf('tiny'))
  const nf4 = await inNf4(await openCheckpoint(await copyOf('tiny', 'which')), {
    revision: 'which',
    cache,
  })
  const names = [...plain.tensors.keys()]
  const quantized = names.filter((name) => nf4.weight(name).dtype === 'nf4')
  assert.deepEqual(
    quantized.toSorted(),
    names.filter((name) => name.endsWith('_proj.weight')).toSorted(),
  )
  assert.equal(quantized.length, 7 * plain.config.layers)
})

test(
  'where the model’s folder cannot be written to, the file goes to the cache',
  { skip: process.platform === 'linux' ? false : 'needs a folder that nobody can write to' },
  async () => {
    const tensors = [golden.tensors.get('odd.weight')!]
    const options = { revision: 'elsewhere', directory: '/sys/kernel', cache }
    const [first, second] = [await storedNf4(tensors, options), await storedNf4(tensors, options)]
    assert.equal(dirname(first.get('odd.weight')!.codes.file), cache)
    assert.deepEqual(second, first)
  },
)

test('a weight that is not finite is named, and leaves no file behind', async () => {
  const directory = await mkdtemp(join(scratch, 'infinite-'))
  const file = join(directory, 'model.safetensors')
  const data = new Float32Array(128).fill(1)
  data[70] = Infinity
  await writeSafetensors(file, [{ name: 'w', dtype: 'F32', shape: [2, 64], data }])
  const { tensors } = await readHeader(file)
  await assert.rejects(
    storedNf4([...tensors.values()], { revision: 'infinite', directory, cache }),
    new FormatError(`${file}: tensor "w": elements 64 to 127 hold a value that is not finite`),
  )
  assert.deepEqual(await readdir(join(directory, '.oddsmith')), [])
})
