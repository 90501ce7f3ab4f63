/** The scale's course is torch.amp.GradScaler's with its defaults: 2^16, halved by an overflow, doubled by 2000 steps without. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { Recipe } from '#schema/spec.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openOptimizer } from '#gpu-runtime/training/optimizer.ts'
import { LossScale } from '#gpu-runtime/training/lossScale.ts'

const engine = new Engine(1)
after(() => engine.close())

test('an overflow halves the scale, 2000 steps without double it, and an overflow between starts the count anew', () => {
  const scale = new LossScale()
  assert.equal(scale.state.value, 65536)
  for (let i = 0; i < 1999; i++) scale.update(true)
  scale.update(false)
  assert.deepEqual(scale.state, { value: 32768, steady: 0 })
  for (let i = 0; i < 1999; i++) scale.update(true)
  assert.deepEqual(scale.state, { value: 32768, steady: 1999 })
  scale.update(true)
  assert.deepEqual(scale.state, { value: 65536, steady: 0 })
})

test('goes on from where a checkpoint left it', () => {
  const scale = new LossScale({ value: 4, steady: 1999 })
  assert.equal(scale.update(true), true)
  assert.equal(scale.state.value, 8)
})

test('a loss that overflows at any scale is told apart', () => {
  const scale = new LossScale({ value: 2, steady: 7 })
  assert.equal(scale.update(false), true)
  assert.equal(scale.update(false), false)
})

for (const optimizer of ['ADAMW', 'ADAMW_8BIT'] as const)
  test(`${optimizer}: a gradient that overflowed moves nothing, and its norm says so`, async () => {
    const size = 5000
    const recipe = Recipe.parse({ optimizer, weightDecay: 0.1 })
    const ramp = () => Float32Array.from({ length: size }, (_, i) => (i - 2000) / size)
    await engine.write('trainables', ramp())
    await engine.write('gradient', ramp())
    const adamw = await openOptimizer(engine, recipe, [size])
    assert.ok(Number.isFinite(await adamw.step(1, 0.01)))
    const before = [await engine.read('trainables'), await adamw.moments()]
    assert.notDeepEqual(before[0], ramp())
    for (const bad of [Infinity, NaN]) {
      await engine.write('gradient', ramp().fill(bad, 7, 8))
      assert.ok(!Number.isFinite(await adamw.step(2, 0.01)))
      assert.deepEqual([await engine.read('trainables'), await adamw.moments()], before)
    }
  })
