import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { readProfile, summarize, type ProfileEvent } from '#bench/train/profile.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { floats } from '#gpu-runtime/tensor/feed.ts'
import { exp, input, matmul } from '#gpu-runtime/tensor/ops.ts'

const run = (ts: number, dur: number): ProfileEvent => ({
  cat: 'Session',
  name: 'model_run',
  ts,
  dur,
})
const node = (ts: number, dur: number, op_name: string, ...shapes: number[][]): ProfileEvent => ({
  cat: 'Node',
  name: `${op_name}_kernel_time`,
  ts,
  dur,
  args: { op_name, input_type_shape: shapes.map((float) => ({ float })) },
})

test('a profile counts each microsecond once, and not those of the first run', () => {
  const { microseconds, runs, kinds, ops } = summarize(
    [
      node(10, 50, 'Exp', [9, 8]),
      run(0, 100),
      node(110, 20, 'MatMul', [9, 8], [8, 8]),
      node(130, 3, 'FusedMatMul', [9, 8], [4, 8]),
      node(133, 2, 'FusedMatMul', [9, 8], [12, 8]),
      node(135, 15, 'MatMul', [1, 2, 9, 8], [1, 2, 8, 9]),
      node(150, 5, 'Softmax', [1, 2, 9, 9]),
      // A loop is written after what ran in it, as onnxruntime does.
      node(162, 20, 'MatMul', [9, 8], [8, 99]),
      node(160, 30, 'Scan', [1, 9, 8]),
      node(190, 1, 'Reshape', [9, 8], [2]),
      run(100, 100),
    ],
    { rank: 4, linears: [{ name: 'q', in: 8, out: 8 }] },
  )
  assert.deepEqual([microseconds, runs], [100, 1])
  const times = (shares: typeof kinds) =>
    Object.fromEntries(shares.map((s) => [s.name, s.microseconds]))
  assert.deepEqual(times(kinds), {
    vocabulary: 30,
    'outside kernels': 24,
    'base linears': 20,
    'attention products': 15,
    LoRA: 5,
    'attention elementwise': 5,
    layout: 1,
  })
  assert.deepEqual(times(ops), { MatMul: 55, Scan: 10, FusedMatMul: 5, Softmax: 5, Reshape: 1 })
})

test('a session of a profiling engine leaves its nodes’ times when it is released', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-profile-'))
  const engine = new Engine(1, undefined, join(directory, 'times'))
  try {
    const x = input('x', [4, 4])
    const session = await engine.open(
      emit({ outputs: { y: exp(matmul(x, x)) } }, (name) => assert.fail(`no weight ${name}`)),
    )
    for (let i = 0; i < 3; i++) await session.run({ x: floats(new Float32Array(16), [4, 4]) })
    await session.release()
    const [file] = await readdir(directory)
    const { runs, ops } = await readProfile(join(directory, file!), {
      rank: 4,
      linears: [],
    })
    assert.equal(runs, 2)
    assert.deepEqual(ops.map((o) => `${o.name} ${o.nodes}`).sort(), [
      'Exp 2',
      'Identity 2',
      'MatMul 2',
    ])
  } finally {
    await engine.close()
    await rm(directory, { recursive: true })
  }
})
