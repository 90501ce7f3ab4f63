/** Passes over programs: what they leave out, what they must not change, what `check` finds, how a program reads. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { check } from '#gpu-runtime/tensor/check.ts'
import { gradient, type Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { interpret, type Value } from '#gpu-runtime/tensor/interpret.ts'
import * as t from '#gpu-runtime/tensor/ops.ts'
import { print } from '#gpu-runtime/tensor/print.ts'
import { simplify } from '#gpu-runtime/tensor/simplify.ts'
import { order, type Tensor } from '#gpu-runtime/tensor/tensor.ts'

const x = t.input('x', ['N', 4])
const w = t.trainable('w', [4])
const bindings = new Map([['N', 3]])
const leaves = new Map<string, Value>([
  ['x', { shape: [3, 4], data: Float64Array.from({ length: 12 }, (_, i) => Math.sin(i + 1)) }],
  ['w', { shape: [4], data: Float64Array.from([0.5, 1.5, -1, 2]) }],
])

/** A layer with reshapes on kept values, so that a careless rule could look past the border of a body. */
function program(recompute: Recompute): Tensor[] {
  const [y] = t.call('layer', [x], (a) => {
    const kept = t.keep(t.reshape(t.mul(t.exp(a!), w), ['2*N', 2]))
    const back = t.reshape(t.reshape(t.silu(t.add(kept, 0)), ['4*N']), ['N', 4])
    return [t.add(a!, t.mul(back, 1))]
  })
  const loss = t.total(t.mul(y!, y!))
  return [loss, ...(gradient(new Map([[loss, t.constant(1)]]), [w, x], recompute) as Tensor[])]
}

for (const recompute of ['NONE', 'ATTENTION', 'LAYER'] as const) {
  test(`simplify keeps every value and keeps the program legal (recompute ${recompute})`, () => {
    const before = program(recompute)
    const after = simplify(before)
    check(before)
    check(after)
    assert.deepEqual(interpret(after, leaves, bindings), interpret(before, leaves, bindings))
    assert.ok(print(after).split('\n').length < print(before).split('\n').length)
  })
}

test('identities disappear; what widens a shape stays', () => {
  assert.equal(simplify([t.mul(x, 1)])[0], x)
  assert.equal(simplify([t.neg(t.neg(x))])[0], x)
  assert.equal(simplify([t.reshape(t.reshape(x, ['4*N']), ['N', 4])])[0], x)
  assert.equal(simplify([t.add(x, t.constant([0, 0, 0, 0], [4]))])[0], x)
  const widened = t.add(w, t.expand(t.constant([0], [1, 1]), ['N', 4]))
  assert.equal(order(simplify([widened])).length, order([widened]).length)
})

test('check names the node that is not as its rule says, and a parameter that nobody binds', () => {
  const broken = { ...t.add(x, w), shape: ['N', 5] } as Tensor
  assert.throws(() => check([broken]), /check: add is float32\[N,5\], its rule says float32\[N,4\]/)
  let escaped: Tensor | undefined
  t.call('f', [x], (a) => [(escaped = t.exp(a!))])
  assert.throws(() => check([escaped!]), /a parameter \[N,4\] outside the body that binds it/)
})

test('a program prints as one node a line, bodies indented', () => {
  const [y] = t.call('layer', [x], (a) => [t.matmul(a!, a!, { transB: true })])
  assert.equal(
    print([y!]),
    [
      '%0 = input name=x shape=[N,4] : float32[N,4]',
      '%1 = call %0',
      '  forward layer:',
      '    %0 = parameter shape=[N,4] : float32[N,4]',
      '    %1 = matmul %0 %0 transA=false transB=true scale=1 : float32[N,N]',
      '    return %1',
      '%2 = result %1 index=0 : float32[N,N]',
      'return %2',
    ].join('\n'),
  )
})
