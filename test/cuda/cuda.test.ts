/**
 * Every program of the engine on onnxruntime's real CUDA provider and a stub card: sessions refuse nodes without a CUDA kernel, no
 * copy is added, every kernel takes its operands, cuDNN is never asked for, and a run copies what the design says.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { LoraSpec } from '#schema/spec.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import type { ComputeType } from '#gpu-runtime/onnx/emit.ts'
import type { Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { elementTypes, type ElementType, type Graph, type Node } from '#gpu-runtime/onnx/proto.ts'
import { absent, cases, familyCases, modelOf } from '../gpu-runtime/golden.ts'
import { Card, type Report } from './card.ts'
import { noProvider } from './provider.ts'

const card = noProvider ? null : new Card()
const nf4 = mkdtempSync(join(tmpdir(), 'oddsmith-nf4-'))
after(() => {
  card?.remove()
  rmSync(nf4, { recursive: true })
})

const lora = LoraSpec.parse({ r: 4, alpha: 8 })

// Lengths differ, so that no Concat has parts of equal length.
const cut = { prompt: 0, chosen: 0, rejected: 0 }
const pairs: Pair[] = [
  { row: 0, prompt: [1, 2, 3, 4, 5], chosen: [6, 7, 8], rejected: [9, 10], cut },
  { row: 1, prompt: [11, 12, 13], chosen: [14], rejected: [15, 16, 17], cut },
]
const requests = [
  {
    context: [1, 2, 3, 4, 5],
    choices: [
      [6, 7, 8],
      [9, 10],
    ],
    scored: [3, 1],
  },
  { context: [11, 12], choices: [[13], [14, 15]], scored: [1, 2] },
]

type Programs = {
  /** What the engine computes in, and a card that it would do so on. */
  readonly compute: ComputeType
  readonly capability: number
  readonly nf4: string | null
  /** Training steps: what their backward pass computes again. */
  readonly steps: readonly Recompute[]
  /** Scoring: of the base model, of an adapter. */
  readonly scores: readonly (LoraSpec | null)[]
}

/** For every family. */
const programs: readonly Programs[] = [
  {
    compute: 'bfloat16',
    capability: 80,
    nf4: null,
    steps: ['NONE', 'ATTENTION', 'LAYER'],
    scores: [null, lora],
  },
  { compute: 'bfloat16', capability: 80, nf4, steps: ['LAYER'], scores: [lora] },
  { compute: 'float16', capability: 75, nf4, steps: ['ATTENTION'], scores: [] },
  { compute: 'float32', capability: 90, nf4: null, steps: ['ATTENTION'], scores: [] },
]

for (const name of [...cases, ...familyCases]) {
  const skip = noProvider || absent(name)
  for (const { steps, scores, capability, ...how } of programs) {
    const model = { model: modelOf(name), revision: name.replaceAll('/', '-'), ...how }
    const which = `${name}${how.nf4 === null ? '' : ' in NF4'}, computed in ${how.compute}`
    for (const recompute of steps)
      test(
        `${which}: a training step (recompute ${recompute}) is the card's alone`,
        { skip },
        async () =>
          allOnCard(await card!.run('step', { ...model, lora, recompute, pairs }, { capability })),
      )
    for (const adapter of scores)
      test(
        `${which}: scoring ${adapter ? 'an adapter' : 'the base model'} is the card's alone`,
        { skip },
        async () =>
          allOnCard(
            await card!.run('score', { ...model, lora: adapter, requests }, { capability }),
          ),
      )
  }
}

for (const compute of ['bfloat16', 'float16'] as const)
  test(
    `a training step with LoRA dropout, computed in ${compute}, is the card's alone`,
    { skip: noProvider },
    async () => {
      const model = { model: modelOf('tiny'), revision: 'tiny', nf4: null, compute }
      const dropping = { ...lora, dropout: 0.05 }
      allOnCard(
        await card!.run('step', { ...model, lora: dropping, recompute: 'ATTENTION', pairs }),
      )
    },
  )

/** All ways of generating from one model, and the usual one from every family. */
const generations = programs.flatMap((how) => [
  ...[0, 0.7].flatMap((temperature) =>
    [null, lora].map((adapter) => ({ name: 'tiny', how, temperature, adapter }) as const),
  ),
  ...(how.compute === 'bfloat16'
    ? familyCases.map((name) => ({ name, how, temperature: 0, adapter: lora }) as const)
    : []),
])

for (const { name, how, temperature, adapter } of generations)
  test(
    `${name}${how.nf4 === null ? '' : ' in NF4'}, computed in ${how.compute}: generating ${temperature === 0 ? 'greedily' : 'by chance'} from ${adapter ? 'an adapter' : 'the base model'} is the card's alone`,
    { skip: noProvider || absent(name) },
    async () => {
      const { capability, compute, nf4: folder } = how
      const model = { model: modelOf(name), revision: name.replaceAll('/', '-'), nf4: folder }
      const prompts = [[1, 2, 3, 4, 5], [6]]
      const argument = { ...model, compute, lora: adapter, prompts, temperature }
      const report = await card!.run('generate', argument, { capability })
      placedOnCard(report)
      // Nothing comes to the host between tokens.
      for (const { mark, design, toHost } of report.phases)
        if (mark === 'run') assert.equal(toHost.length, design!.outputs)
    },
  )

test('the optimizer runs on the host and leaves the card alone', { skip: noProvider }, async () => {
  const { error, sessions, phases, devicePeak } = await card!.run('optimizer', { parameters: 1000 })
  assert.equal(error, null)
  assert.deepEqual(sessions, [])
  assert.equal(devicePeak, 0)
  for (const { toDevice, toHost } of phases) assert.deepEqual([...toDevice, ...toHost], [])
})

function placedOnCard({ error, sessions, memcpy }: Report): void {
  assert.equal(error, null)
  assert.deepEqual(
    sessions.map((nodes) => Object.keys(nodes)),
    [['CUDAExecutionProvider']],
  )
  assert.deepEqual(memcpy, [])
}

function allOnCard(report: Report): void {
  placedOnCard(report)
  const { phases } = report
  const runs = phases.filter(({ mark }) => mark === 'run')
  assert.equal(runs.length, 2)
  for (const { design, toDevice, toHost } of runs) {
    const { inputs, outputs, tables } = design!
    const ascending = (xs: readonly number[]) => xs.toSorted((a, b) => a - b)
    assert.deepEqual(ascending(toDevice.slice(0, inputs!.length)), ascending(inputs!))
    const uploaded = toDevice.slice(inputs!.length)
    assert.equal(uploaded.length, tables)
    // 8 bytes for a row of the stream, of all levels end to end, or of the trainables; for each trainable it would be twice the trainables.
    const largest = Math.max(...uploaded, 0)
    const most = Math.max(
      2 * Math.max(...inputs!),
      inputs!.reduce((sum, bytes) => sum + bytes, 0),
    )
    assert.ok(largest < most, `the largest table has ${largest} bytes`)
    assert.equal(toHost.length, outputs)
  }
}

// What must fail or be seen, so that the above means something.

const declared = (name: string, type: ElementType) => ({
  name,
  type: { tensorType: { elemType: elementTypes[type] } },
})
const graphOf = (node: readonly Node[], output: readonly [string, ElementType]): Graph => ({
  name: 'control',
  node,
  input: [declared('x', 'float32')],
  output: [declared(...output)],
})
const cast = (from: string, to: string, type: ElementType): Node => ({
  opType: 'Cast',
  name: to,
  input: [from],
  output: [to],
  attribute: [{ name: 'to', type: 2, i: elementTypes[type] }],
})
const shift = [{ name: 'direction', type: 3, s: Buffer.from('LEFT') } as const]
const shapes = { x: [4] }

/** Graphs that a card must not take: [what, graph, the operator at fault]. */
const refused: readonly (readonly [string, Graph, string])[] = [
  [
    'Unique, which has no CUDA kernel',
    graphOf([{ opType: 'Unique', input: ['x'], output: ['y'] }], ['y', 'float32']),
    'Unique',
  ],
  [
    'BitShift, which has no CUDA kernel',
    graphOf(
      [
        cast('x', 'bits', 'uint8'),
        { opType: 'BitShift', input: ['bits', 'bits'], output: ['y'], attribute: shift },
      ],
      ['y', 'uint8'],
    ),
    'BitShift',
  ],
  [
    'Equal, whose CUDA kernels know no bfloat16',
    graphOf(
      [
        cast('x', 'narrow', 'bfloat16'),
        { opType: 'Equal', name: 'Equal', input: ['narrow', 'narrow'], output: ['same'] },
        cast('same', 'y', 'float32'),
      ],
      ['y', 'float32'],
    ),
    'Equal',
  ],
]
for (const [what, graph, operator] of refused)
  test(`control: a session on a card refuses ${what}`, { skip: noProvider }, async () => {
    const { error, noKernel } = await card!.run('graph', { graph, shapes })
    assert.match(error ?? 'no error', /assigned to the default CPU EP|Provider type for/)
    assert.ok(noKernel.includes(operator), `without a kernel: ${noKernel}`)
  })

test(
  'control: a shape computed on the card is seen as a hidden copy',
  { skip: noProvider },
  async () => {
    const graph = graphOf(
      [cast('x', 'shape', 'int64'), { opType: 'Reshape', input: ['x', 'shape'], output: ['y'] }],
      ['y', 'float32'],
    )
    const { sessions, memcpy, phases } = await card!.run('graph', { graph, shapes })
    assert.deepEqual(Object.keys(sessions[0]!), ['CUDAExecutionProvider'])
    assert.equal(memcpy.length, 1)
    assert.deepEqual(phases.find(({ mark }) => mark === 'run')!.toHost, [32])
  },
)

test(
  'control: the doctor sees that a card which computes nothing is wrong',
  { skip: noProvider },
  async () => {
    for (const [driver, compute] of [
      ['Stub, 8.0, 81920 MiB', 'bfloat16'],
      ['Stub, 7.5, 15360 MiB', 'float16'],
    ] as const) {
      const { error, phases } = await card!.run('doctor', { driver }, { quiet: true })
      assert.equal(error, null)
      const mark = phases[0]!.mark
      assert.match(mark, /^driver .* ok .* Stub, /)
      assert.match(
        mark,
        new RegExp(
          `\nstep on CUDA +WRONG +all \\d+ nodes in ${compute}; from float64: loss 1\\.0e\\+0`,
        ),
      )
      assert.match(mark, /\ntransfers +ok +[\d.]+ GB\/s to the card/)
    }
  },
)

test('control: an operator that wants cuDNN says so', { skip: noProvider }, async () => {
  const graph = graphOf([{ opType: 'ReduceMax', input: ['x'], output: ['y'] }], ['y', 'float32'])
  const { error } = await card!.run('graph', { graph, shapes })
  assert.match(error ?? 'no error', /cuDNN/)
})

test(
  'control: a card that is too small refuses the step',
  { skip: noProvider || absent('tiny') },
  async () => {
    const argument = {
      model: modelOf('tiny'),
      revision: '',
      nf4: null,
      compute: 'bfloat16',
      lora,
      recompute: 'LAYER',
      pairs,
    } as const
    const { error, devicePeak } = await card!.run('step', argument, { memory: 300_000 })
    assert.match(error ?? 'no error', /out of memory|Failed to allocate memory|Available memory/)
    assert.ok(devicePeak <= 300_000)
  },
)
