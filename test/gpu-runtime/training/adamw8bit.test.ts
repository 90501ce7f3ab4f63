/** AdamW with 8-bit moments against bitsandbytes' AdamW8bit (test/golden/optimizers.py). */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { Recipe } from '#schema/spec.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { dynamicMap } from '#gpu-runtime/quantization/dynamicMap.ts'
import { blockSize, Quantizer } from '#gpu-runtime/training/blockwise.ts'
import { layoutOf, openOptimizer } from '#gpu-runtime/training/optimizer.ts'
import { assertClose } from '../closeness.ts'
import { readBytes, readHeader } from '#gpu-runtime/files/safetensors.ts'
import { goldenFile, readJson } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

const { tensors } = await readHeader(goldenFile('adamw8bit.safetensors'))
const floats = async (name: string) => new Float32Array(await readBytes(tensors.get(name)!))
const bytes = async (name: string) => new Uint8Array(await readBytes(tensors.get(name)!))

/** `numbers` of optimizers.py: exact below 2^53. */
const numbers = (count: number, stream: number, scale = 1): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => {
    const mixed = (i * 2654435761 + stream * 2246822519) % 2 ** 32
    return ((Math.floor(mixed / 256) / 2 ** 24 - 0.5) / 2 ** (Math.floor(i / 16) % 11)) * scale
  })

test('the dynamic maps are those of bitsandbytes', async () => {
  assert.deepEqual(dynamicMap(true), await floats('map.signed'))
  assert.deepEqual(dynamicMap(false), await floats('map.unsigned'))
})

test('each value of a block gets the code that is nearest to it', () => {
  for (const signed of [true, false]) {
    const quantizer = new Quantizer(signed)
    const { values } = quantizer
    const codes = new Uint8Array(blockSize)
    for (let round = 0; round < 200; round++) {
      const block = numbers(blockSize, round).map((x, i) => {
        const y = x * 1.7 ** -((i * 7 + round) % 40)
        return signed ? y : Math.abs(y)
      })
      const scale = quantizer.quantize(block, blockSize, codes, 0)
      assert.equal(scale, Math.max(...block.map(Math.abs)))
      block.forEach((x, i) => {
        const error = (code: number) => Math.abs(x / scale - values[code]!)
        const nearest = values.reduce(
          (best, _, code) => (error(code) < error(best) ? code : best),
          0,
        )
        // At the middle between two codes, rounding decides.
        assert.ok(
          error(codes[i]!) <= error(nearest) + 1e-7,
          `${x / scale}: ${codes[i]}, nearest ${nearest}`,
        )
      })
    }
    assert.equal(quantizer.quantize(new Float32Array(blockSize), blockSize, codes, 0), 0)
    assert.ok(
      codes.every((code) => values[code] === 0),
      'zeros stay zeros',
    )
  }
})

test('twelve steps with clipping and weight decay are those of bitsandbytes', async () => {
  const golden = readJson<{
    settings: { weight_decay: number; max_norm: number }
    sizes: number[]
    learning_rates: number[]
    norms: number[]
    from_torch: { nearest: number }
  }>('adamw8bit')
  const { settings, sizes, learning_rates: rates } = golden
  const size = sizes.reduce((a, b) => a + b)
  const run = async (optimizer: Recipe['optimizer']) => {
    const { weight_decay: weightDecay, max_norm: maxGradNorm } = settings
    const recipe = Recipe.parse({ optimizer, weightDecay, maxGradNorm })
    await engine.write('trainables', numbers(size, 0))
    const opened = await openOptimizer(engine, recipe, sizes)
    for (const [i, rate] of rates.entries()) {
      const step = i + 1
      await engine.write('gradient', numbers(size, step, 2 ** -(step % 3)))
      assertClose([await opened.step(step, rate)], [golden.norms[i]!], { rtol: 1e-6 }, 'norm')
    }
    return { x: await engine.read('trainables'), moments: await opened.moments() }
  }
  const { x, moments } = await run('ADAMW_8BIT')

  // Sums in another order move a moment by a digit of float32 and, where that is the middle between two codes, a code by one.
  for (const moment of ['m', 'v']) {
    const expected = await bytes(`${moment}.codes`)
    const apart = moments[`${moment}.codes`]!.map((code, i) => Math.abs(code - expected[i]!))
    assert.ok(Math.max(...apart) <= 1, `${moment}: a code is ${Math.max(...apart)} away`)
    const moved = apart.filter((d) => d > 0).length
    assert.ok(moved <= 5, `${moment}: ${moved} of ${expected.length} codes`)
    const scales = moments[`${moment}.scales`]!
    assertClose(scales, await floats(`${moment}.scales`), { rtol: 1e-5 }, `${moment}.scales`)
  }
  const expected = await floats('x')
  assertClose(
    x.subarray(sizes[0]),
    expected.subarray(sizes[0]),
    { rtol: 1e-5, atol: 1e-7 },
    'x of a small matrix',
  )
  const mean = (a: Float32Array, b: Float32Array) =>
    a.reduce((s, v, i) => s + Math.abs(v - b[i]!), 0) / a.length
  // As near to AdamW in float32 as bitsandbytes is, and nearer to bitsandbytes by far.
  const exact = (await run('ADAMW')).x
  assertClose([mean(x, exact)], [golden.from_torch.nearest], { rtol: 0.01 }, 'distance from AdamW')
  assert.ok(
    mean(x, expected) < 0.01 * golden.from_torch.nearest,
    `${mean(x, expected)} from bitsandbytes`,
  )

  const paged = await run('PAGED_ADAMW_8BIT')
  assert.deepEqual(paged.x, x)
})

test('8-bit moments of an adapter take a quarter of the memory', () => {
  // Llama 3 8B with r = 16 on the seven linears: hidden 4096, 1024 of keys, 14336 in the middle, 32 layers; in and out of each.
  const widths = [4096, 4096, 4096, 1024, 4096, 1024, 4096, 4096].concat([
    4096, 14336, 4096, 14336, 14336, 4096,
  ])
  const sizes = Array.from({ length: 32 }, () => widths.map((n) => 16 * n)).flat()
  const bytesOf = (optimizer: Recipe['optimizer']) =>
    Object.values(layoutOf({ optimizer }, sizes)).reduce(
      (n, { dtype, length }) => n + (dtype === 'U8' ? 1 : 4) * length,
      0,
    )
  const parameters = 41_943_040 // as PEFT counts them
  assert.equal(bytesOf('ADAMW'), 8 * parameters)
  assert.equal(bytesOf('ADAMW_8BIT'), 2 * (parameters + (4 * parameters) / blockSize))
})
