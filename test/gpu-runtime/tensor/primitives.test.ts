/** Every primitive: shapes, gradients against finite differences in float64, ONNX results against the interpreter. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { floats, integers, type Feeds } from '#gpu-runtime/tensor/feed.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { evaluate, size } from '#gpu-runtime/tensor/dim.ts'
import { gradient } from '#gpu-runtime/tensor/gradient.ts'
import { interpret, type Value } from '#gpu-runtime/tensor/interpret.ts'
import * as t from '#gpu-runtime/tensor/ops.ts'
import { is, node, order, type Op, type Tensor } from '#gpu-runtime/tensor/tensor.ts'

const engine = new Engine(1)
after(() => engine.close())

/** Symbols of the cases below. */
const bindings = new Map([
  ['N', 4],
  ['L', 3],
])

type Case = {
  /** The results under test; all float inputs are differentiated. */
  readonly results: readonly Tensor[]
  /** Values of integer inputs; floats are drawn. */
  readonly integers?: Readonly<Record<string, readonly number[]>>
  /** Keep drawn floats positive (log, sqrt, division). */
  readonly positive?: boolean
}

const x = t.input('x', ['N', 3])
const y = t.input('y', ['N', 3])
const row = t.input('row', [3])
const w = t.input('w', [3, 2])
const batch = t.input('batch', [2, 'N', 3])
const ids = (shape: readonly (number | string)[], name = 'ids') => t.input(name, shape, 'int64')

/** Five rows of which the last is blank: 0, 2 in one group [1, 2], 1, 3 in another [2, 2] with two blanks. */
const groupIndexes = { a: [0, 2], b: [1, 4, 3, 4], inverse: [0, 2, 1, 4, 3] }
const groups = [ids([1, 2], 'a'), ids([2, 2], 'b')]
const five = t.input('five', [5, 2])
const blanked = t.mul(five, t.constant([1, 1, 1, 1, 0], [5, 1]))

const hiddenRows = t.input('h', [2, 'L', 3])
const embedding = t.input('e', [7, 3])

const cases: { [O in Exclude<Op, 'weight' | 'trainable' | 'parameter' | 'draw'>]: Case } = {
  input: { results: [t.mul(x, 1)] },
  constant: { results: [t.mul(x, t.constant([1, 2, 3], [3]))] },
  add: { results: [t.add(x, row)] },
  sub: { results: [t.sub(row, x)] },
  mul: { results: [t.mul(x, row)] },
  div: { results: [t.div(x, row)], positive: true },
  neg: { results: [t.neg(x)] },
  exp: { results: [t.exp(x)] },
  log: { results: [t.log(x)], positive: true },
  tanh: { results: [t.tanh(x)] },
  sqrt: { results: [t.sqrt(x)], positive: true },
  sigmoid: { results: [t.sigmoid(x)] },
  softplus: { results: [t.softplus(x)] },
  silu: { results: [t.silu(x)] },
  lessOrEqual: { results: [t.where(t.lessOrEqual(x, y), x, t.mul(y, y))] },
  where: { results: [t.where(t.lessOrEqual(x, 0), x, y)] },
  cast: {
    results: [t.cast(t.mul(t.cast(x, 'compute'), t.cast(row, 'compute')), 'float32')],
  },
  sum: { results: [t.sum(batch, [0, 2])] },
  softmax: { results: [t.softmax(x)] },
  weigh: {
    results: [
      t.weigh(x, t.input('v', [3, 2])),
      t.weigh(batch, t.input('v2', [3, 2])),
      t.weigh(t.input('scores', [2, 2, 'N', 3]), t.input('v4', [2, 1, 3, 5])),
    ],
  },
  matmul: {
    results: [
      t.matmul(x, w),
      t.matmul(x, t.input('w2', [2, 3]), { transB: true, scale: 0.5 }),
      t.matmul(x, y, { transA: true, scale: 2 }),
      t.matmul(x, t.input('w3', [5, 'N']), { transA: true, transB: true }),
      t.matmul(batch, w),
      t.matmul(batch, t.input('batch2', [2, 'N', 3]), { transB: true }),
    ],
  },
  reshape: { results: [t.reshape(batch, ['2*N', 3]), t.reshape(batch, ['N', 3, 2])] },
  expand: { results: [t.mul(t.expand(row, ['N', 3]), x)] },
  concat: { results: [t.concat([x, y], 0), t.concat([x, y], 1)] },
  split: { results: [t.split(t.concat([x, y], 0), 0, ['N', 'N'])[1]!] },
  rows: {
    results: [
      t.rows(t.input('table', [6, 2]), ids([2, 'L'])),
      t.mul(t.uniqueRows(five, ids([3], 'list'), ids([5], 'back')), t.constant([1, 1, 0], [3, 1])),
    ],
    integers: { ids: [0, 5, 5, 2, 1, 0], list: [2, 0, 4], back: [1, 2, 0, 2, 2] },
  },
  oneHot: {
    results: [t.matmul(t.oneHot(ids(['L']), 3), t.input('w33', [3, 3]))],
    integers: { ids: [2, 0, 2] },
  },
  group: { results: t.group(blanked, groups, ids([5], 'inverse')), integers: groupIndexes },
  ungroup: {
    results: [
      t.mul(
        t.ungroup(
          [t.input('ga', [1, 2, 2]), t.input('gb', [2, 2, 2])],
          groups,
          ids([5], 'inverse'),
        ),
        t.constant([1, 1, 1, 1, 0], [5, 1]),
      ),
    ],
    integers: groupIndexes,
  },
  rmsNorm: { results: [t.rmsNorm(x, row, 1e-5)] },
  rope: {
    results: [
      t.rope(t.input('heads', ['N', 8]), t.input('cos', ['N', 2]), t.input('sin', ['N', 2]), 2),
    ],
  },
  vocabulary: {
    results: [null, 0.7].map((cap) => t.logSumExpVocabulary(hiddenRows, embedding, cap)),
  },
  call: { results: t.call('f', [x, row], (a, b) => [t.silu(t.mul(a!, b!)), t.exp(a!)]) },
  result: { results: t.split(x, 1, [1, 2]) },
}

/** A smooth scalar of all results, so that every element's gradient is different. */
function scalar(results: readonly Tensor[]): Tensor {
  return results.map((r, i) => t.total(t.mul(t.tanh(r), 0.5 + i))).reduce(t.add)
}

function draw(name: string, count: number, positive: boolean): number[] {
  let state = [...name].reduce((h, c) => (h * 31 + c.charCodeAt(0)) >>> 0, 7)
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const u = state / 2 ** 32
    return positive ? 0.3 + u : 2 * u - 1
  })
}

for (const [op, { results, integers: given = {}, positive = false }] of Object.entries(cases)) {
  test(`${op}: gradient equals finite differences, ONNX equals the interpreter`, async () => {
    const loss = scalar(results)
    const inputs = order([loss]).filter((n) => is(n, 'input'))
    const leaves = new Map<string, Value>()
    for (const {
      shape,
      attributes: { name },
    } of inputs) {
      const data = given[name] ?? draw(name, evaluate(size(shape), bindings), positive)
      leaves.set(name, {
        shape: shape.map((d) => evaluate(d, bindings)),
        data: Float64Array.from(data),
      })
    }
    // Tables of cosines and sines are constants of the model, never differentiated.
    const floating = inputs.filter(
      (n) => n.dtype === 'float32' && !['cos', 'sin'].includes(n.attributes.name),
    )
    const gradients = gradient(new Map([[loss, t.constant(1)]]), floating, 'LAYER')
    assert.ok(
      gradients.every(Boolean),
      `no gradient for ${floating.filter((_, i) => !gradients[i]).map((n) => n.attributes.name)}`,
    )
    const analytic = interpret(gradients as Tensor[], leaves, bindings)

    floating.forEach(({ attributes: { name }, shape }, k) => {
      assert.deepEqual(gradients[k]!.shape, shape)
      const { data } = leaves.get(name)!
      for (let i = 0; i < data.length; i++) {
        const at = (delta: number) => {
          const moved = data.slice()
          moved[i]! += delta
          return interpret(
            [loss],
            new Map(leaves).set(name, { ...leaves.get(name)!, data: moved }),
            bindings,
          )[0]!.data[0]!
        }
        const numeric = (at(1e-5) - at(-1e-5)) / 2e-5
        assert.ok(
          Math.abs(numeric - analytic[k]!.data[i]!) < 1e-7 * (1 + Math.abs(numeric)),
          `${op}: d/d${name}[${i}] is ${analytic[k]!.data[i]}, differences give ${numeric}`,
        )
      }
    })

    const outputs = Object.fromEntries(
      [...results, ...(gradients as Tensor[])].map((r, i) => [`o${i}`, r]),
    )
    const session = await engine.open(emit({ outputs }, () => assert.fail('no weights here')))
    const feeds: Feeds = Object.fromEntries(
      inputs.map((n) => {
        const v = leaves.get(n.attributes.name)!
        return [
          n.attributes.name,
          n.dtype === 'int64' ? integers(v.data, v.shape) : floats(v.data, v.shape),
        ]
      }),
    )
    const got = await session.run(feeds)
    const expected = interpret(Object.values(outputs), leaves, bindings)
    Object.keys(outputs).forEach((name, i) => {
      assert.deepEqual([...got[name]!.shape], [...expected[i]!.shape], `shape of ${name}`)
      expected[i]!.data.forEach((v, j) =>
        assert.ok(
          Math.abs(v - got[name]!.data[j]!) < 2e-5 * (1 + Math.abs(v)),
          `${op} ${name}[${j}]: ${got[name]!.data[j]} against ${v}`,
        ),
      )
    })
    await session.release()
  })
}

test('what a backward body keeps or recomputes never changes a gradient', () => {
  const build = (recompute: 'NONE' | 'ATTENTION' | 'LAYER') => {
    const [out] = t.call('layer', [x, row], (a, b) => {
      const kept = t.keep(t.mul(t.rmsNorm(a!, b!, 1e-5), 3))
      return [t.add(a!, t.silu(t.exp(kept)))]
    })
    return gradient(
      new Map([[t.total(t.mul(out!, out!)), t.constant(1)]]),
      [x, row],
      recompute,
    ) as Tensor[]
  }
  const leaves = new Map<string, Value>([
    ['x', { shape: [4, 3], data: Float64Array.from(draw('x', 12, false)) }],
    ['row', { shape: [3], data: Float64Array.from(draw('row', 3, true)) }],
  ])
  const [none, attention, layer] = (['NONE', 'ATTENTION', 'LAYER'] as const).map((r) =>
    interpret(build(r), leaves, bindings),
  )
  assert.deepEqual(attention, none)
  assert.deepEqual(layer, none)
})

test('operands that do not fit are refused with both shapes', () => {
  assert.throws(() => t.matmul(x, y), /matmul: inner dimensions differ: \[N,3\] @ \[N,3\]/)
  assert.throws(() => t.add(x, t.input('z', [5])), /add: \[N,3\] and \[5\] do not broadcast/)
  assert.throws(() => t.reshape(x, ['N', 4]), /reshape: \[N,3\] has 3\*N elements, \[N,4\] 4\*N/)
  assert.throws(() => t.split(x, 0, ['N', 'L']), /sizes \[N,L\] do not add up to axis 0/)
  assert.throws(() => t.add(x, t.cast(row, 'compute')), /add: float32 and compute do not mix/)
  assert.throws(() => node('where', [x, x, x], {}), /condition is float32, expected bool/)
})
