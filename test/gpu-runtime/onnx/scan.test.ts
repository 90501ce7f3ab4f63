/** A graph taken step after step, against the same recurrence in plain arithmetic. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { scan } from '#gpu-runtime/onnx/scan.ts'
import { floats } from '#gpu-runtime/tensor/feed.ts'
import { add, exp, input, mul } from '#gpu-runtime/tensor/ops.ts'

const engine = new Engine(1)
after(() => engine.close())

const noWeights = () => assert.fail('no weights here')
const x = input('x', ['N'])
const growth = input('growth', ['N'])
const rate = exp(mul(growth, input('damping', [])))
const state = add(mul(input('state', ['N']), rate), input('push', ['N']))
const graph = scan(
  emit({ outputs: { start: mul(x, 2), growth: add(x, 1), sum: exp(x) } }, noWeights),
  emit({ outputs: { next: state, seen: mul(state, 10) } }, noWeights),
  {
    states: [{ input: 'state', first: 'start', output: 'next', last: 'end' }],
    perStep: ['push'],
    collected: ['seen'],
    given: { growth: 'growth' },
    packed: false,
  },
)

test('each step begins with the state of the one before; what is collected has an entry a step', async () => {
  const session = await engine.open(graph)
  const start = [0.5, -1]
  const damping = -0.3
  for (const pushes of [
    [[1, 2]],
    [
      [1, 2],
      [0, -1],
      [3, 0.5],
    ],
  ]) {
    const got = await session.run({
      x: floats(start),
      damping: floats([damping], []),
      push: floats(pushes.flat(), [pushes.length, 2]),
    })
    let now = start.map((v) => 2 * v)
    const seen: number[] = []
    for (const push of pushes) {
      now = now.map((v, i) => v * Math.exp((start[i]! + 1) * damping) + push[i]!)
      seen.push(...now.map((v) => 10 * v))
    }
    const close = (name: string, expected: readonly number[]) =>
      expected.forEach((v, i) =>
        assert.ok(Math.abs(got[name]!.data[i]! - v) < 1e-5, `${name}[${i}]`),
      )
    close('end', now)
    close('seen', seen)
    close('sum', start.map(Math.exp))
    assert.deepEqual([...got['seen']!.shape], [pushes.length, 2])
    assert.deepEqual(Object.keys(got).toSorted(), ['end', 'seen', 'sum'])
  }
  await session.release()
})

test('what no step changes is computed before the steps, and no step copies its state', () => {
  const steps = graph.graph.node.find(({ opType }) => opType === 'Scan')!
  const [body] = steps.attribute!.flatMap((a) => (a.type === 5 ? [a.g] : []))
  assert.deepEqual(
    body!.node.map(({ opType }) => opType),
    ['Mul', 'Add', 'Mul'],
  )
  assert.equal(graph.graph.node.filter(({ opType }) => opType === 'Exp').length, 2)
})
