/** The ONNX form of each primitive. Only ops that the CPU and the CUDA provider both have, at ai.onnx 18 and com.microsoft 1. */
import type { Attributes, Op, Tensor } from '../tensor/tensor.ts'
import { size } from '../tensor/dim.ts'
import type { Writer } from './emit.ts'
import {
  elementTypes,
  encodeValues,
  type Attribute,
  type ElementType,
  type Graph,
  type Node,
} from './proto.ts'

type Rule<O extends Op> = (x: Tensor<O>, w: Writer) => string[]

const microsoft = 'com.microsoft'
const elementwise = (opType: string) => (x: Tensor, w: Writer) => w.op(opType, x.inputs.map(w.name))

function matmul(
  a: string,
  b: string,
  { transA, transB, scale }: Attributes['matmul'],
  w: Writer,
): string[] {
  if (!transA && !transB && scale === 1) return w.op('MatMul', [a, b])
  return w.op(
    'FusedMatMul',
    [a, b],
    { transA: Number(transA), transB: Number(transB), alpha: scale },
    1,
    microsoft,
  )
}

const tensorType = (name: string, type: ElementType) => ({
  name,
  type: { tensorType: { elemType: elementTypes[type] } },
})
const subgraph = (name: string, g: Graph): Attribute => ({ name, type: 5, g })

/** Leaves, calls and results are the emitter's own business. */
export const rules: {
  [
    O in Exclude<
      Op,
      'input' | 'weight' | 'trainable' | 'constant' | 'parameter' | 'call' | 'result'
    >
  ]: Rule<O>
} = {
  add: elementwise('Add'),
  sub: elementwise('Sub'),
  mul: elementwise('Mul'),
  div: elementwise('Div'),
  neg: elementwise('Neg'),
  exp: elementwise('Exp'),
  log: elementwise('Log'),
  tanh: elementwise('Tanh'),
  sqrt: elementwise('Sqrt'),
  sigmoid: elementwise('Sigmoid'),
  softplus: elementwise('Softplus'),
  silu: ({ inputs: [x] }, w) => w.op('QuickGelu', [w.name(x!)], { alpha: 1 }, 1, microsoft),
  lessOrEqual: elementwise('LessOrEqual'),
  where: elementwise('Where'),
  cast({ inputs: [x], attributes: { to } }, w) {
    const [from, type] = [w.elementType(x!.dtype), w.elementType(to)]
    return from === type ? [w.name(x!)] : w.op('Cast', [w.name(x!)], { to: elementTypes[type] })
  },
  sum: ({ inputs: [x], attributes: { axes } }, w) =>
    w.op('ReduceSum', [w.name(x!), w.integers(axes)], { keepdims: 1 }),
  softmax: ({ inputs: [x] }, w) => w.op('Softmax', [w.name(x!)], { axis: -1 }),
  weigh(x, w) {
    const [scores, values] = x.inputs
    const [p] = w.op('Softmax', [w.name(scores!)], { axis: -1 })
    return w.uses(x, 0) ? [w.op('MatMul', [p!, w.name(values!)])[0]!, p!] : ['', p!]
  },
  matmul: ({ inputs: [a, b], attributes }, w) => matmul(w.name(a!), w.name(b!), attributes, w),
  reshape: ({ inputs: [x], shape }, w) => w.op('Reshape', [w.name(x!), w.shape(shape)]),
  expand: ({ inputs: [x], shape }, w) => w.op('Expand', [w.name(x!), w.shape(shape, false)]),
  concat: ({ inputs, attributes: { axis } }, w) => w.op('Concat', inputs.map(w.name), { axis }),
  split({ inputs: [x], attributes: { axis, sizes } }, w) {
    const known = sizes.slice(0, -1).every((d) => typeof d === 'number')
    if (!known || typeof sizes.at(-1) === 'number')
      return w.op('Split', [w.name(x!), w.shape(sizes, false)], { axis }, sizes.length)
    // Up to a last part of any length, which needs no shape that is fed.
    let at = 0
    return (sizes as readonly number[]).map((size, i) => {
      const from = at
      at += i < sizes.length - 1 ? size : Number.MAX_SAFE_INTEGER
      const bounds = [from, at, axis].map((n) => w.integers([n]))
      return w.op('Slice', [w.name(x!), ...bounds])[0]!
    })
  },
  rows({ inputs: [x, index] }, w) {
    const stored = w.stored(x!)
    const type = w.elementType(x!.dtype)
    const [gathered] = w.op('Gather', [stored?.name ?? w.name(x!), w.name(index!)], { axis: 0 })
    return stored && stored.dtype !== type
      ? w.op('Cast', [gathered!], { to: elementTypes[type] })
      : [gathered!]
  },
  draw({ inputs: [logits, temperature, topP, uniform], attributes: { candidates } }, w) {
    const axis = w.integers([1])
    const [values, ids] = w.op(
      'TopK',
      [w.name(logits!), w.integers([candidates])],
      { axis: 1, largest: 1, sorted: 1 },
      2,
    )
    const list = (column: string) => w.op('Reshape', [column, w.integers([-1])])
    if (candidates === 1) return list(ids!)
    const scaled = w.op('Div', [values!, w.name(temperature!)])
    const p = w.op('Softmax', scaled, { axis: 1 })
    // Before each candidate, what all before it have together. The first has nothing before it: it is always kept and reached.
    const before = w.op('CumSum', [...p, axis], { exclusive: 1 })
    const kept = w.op('Less', [...before, w.name(topP!)])
    const share = w.op('ReduceSum', [
      ...w.op('Where', [...kept, ...p, w.constant([0], [], 'float32')]),
      axis,
    ])
    const threshold = w.op('Mul', [...share, w.name(uniform!)])
    const beforeKept = w.op('Where', [...kept, ...before, w.constant([2], [], 'float32')])
    const reached = w.op('Cast', w.op('LessOrEqual', [...beforeKept, ...threshold]), {
      to: elementTypes.float32,
    })
    const last = w.op('Sub', [
      ...w.op('ReduceSum', [...reached, axis]),
      w.constant([1], [], 'float32'),
    ])
    const place = w.op('Cast', last, { to: elementTypes.int64 })
    return list(w.op('GatherElements', [ids!, ...place], { axis: 1 })[0]!)
  },
  oneHot({ inputs: [ids], attributes: { depth } }, w) {
    const [column] = w.op('Unsqueeze', [w.name(ids!), w.integers([ids!.shape.length])])
    const classes = w.constant(
      Array.from({ length: depth }, (_, i) => i),
      [depth],
      'int64',
    )
    return w.op('Cast', w.op('Equal', [column!, classes]), { to: elementTypes.float32 })
  },
  group: ({ inputs: [x, , ...indexes] }, w) =>
    indexes.map((index) => w.op('Gather', [w.name(x!), w.name(index)], { axis: 0 })[0]!),
  ungroup({ inputs: [inverse, ...rest], attributes: { groups } }, w) {
    const flat = rest
      .slice(0, groups)
      .map(
        (y) =>
          w.op('Reshape', [w.name(y), w.shape([size(y.shape.slice(0, -1)), y.shape.at(-1)!])])[0]!,
      )
    const all = groups === 1 ? flat[0]! : w.op('Concat', flat, { axis: 0 })[0]!
    return w.op('Gather', [all, w.name(inverse!)], { axis: 0 })
  },
  rmsNorm: ({ inputs: [x, weight], attributes: { epsilon } }, w) =>
    w.op(
      'SimplifiedLayerNormalization',
      [w.name(x!), w.name(weight!)],
      { axis: -1, epsilon, stash_type: 1 },
      2,
    ),
  // As one sequence whose positions are the rows: the tables have a row for each.
  rope({ inputs: [x, cos, sin], shape, attributes: { heads } }, w) {
    const [sequence] = w.op('Reshape', [w.name(x!), w.shape([1, ...shape])])
    const [turned] = w.op(
      'RotaryEmbedding',
      [sequence!, w.integers([0]), w.name(cos!), w.name(sin!)],
      { interleaved: 0, num_heads: heads },
      1,
      microsoft,
    )
    return w.op('Reshape', [turned!, w.shape(shape)])
  },
  // A scan over chunks [rows, D] of h [chunks, rows, D]. log Σ exp is read off a log-softmax: first logit − first log-probability.
  vocabulary(x, w) {
    const [h, e] = x.inputs
    const table = w.name(e!)
    const mean = w.uses(x, 1)
    const { cap } = x.attributes
    const type = w.elementType(h!.dtype)
    const narrow = type !== 'float32'
    const cast = (from: string, to: string, as: ElementType): Node => ({
      opType: 'Cast',
      input: [from],
      output: [to],
      attribute: [{ name: 'to', type: 2, i: elementTypes[as] }],
    })
    // The body's own: what it takes from outside is on the card, and would be copied to the host in each run.
    const [zero, one] = ['zero', 'one']
    const constant = (name: string, value: number, as: 'int64' | 'float32') => ({
      name,
      dims: [1],
      dataType: elementTypes[as],
      rawData: encodeValues([value], as),
    })
    const initializer = [
      constant(zero, 0, 'int64'),
      constant(one, 1, 'int64'),
      ...(cap === null ? [] : [constant('cap', cap, 'float32')]),
    ]
    // With a cap, the product is logits / cap before it.
    const product = cap === null ? 'logits' : 'beforeTanh'
    const slopes = 'slopes'
    // The loss is float32: logits become it, probabilities go back.
    const body: Graph = {
      name: 'chunk',
      initializer,
      node: [
        {
          opType: 'FusedMatMul',
          domain: microsoft,
          name: `${table}/logits`,
          input: ['chunk', table],
          output: [narrow ? 'narrowLogits' : product],
          attribute: [
            { name: 'transB', type: 2, i: 1 },
            { name: 'alpha', type: 1, f: cap === null ? 1 : 1 / cap },
          ],
        },
        ...(narrow ? [cast('narrowLogits', product, 'float32')] : []),
        ...(cap === null
          ? []
          : [
              { opType: 'Tanh', input: [product], output: ['bounded'] },
              { opType: 'Mul', input: ['bounded', 'cap'], output: ['logits'] },
            ]),
        {
          opType: 'LogSoftmax',
          input: ['logits'],
          output: ['logps'],
          attribute: [{ name: 'axis', type: 2, i: -1 }],
        },
        { opType: 'Slice', input: ['logits', zero, one, one], output: ['logit0'] },
        { opType: 'Slice', input: ['logps', zero, one, one], output: ['logp0'] },
        { opType: 'Sub', input: ['logit0', 'logp0'], output: ['column'] },
        { opType: 'Squeeze', input: ['column', one], output: ['lse'] },
        ...(mean
          ? [
              { opType: 'Exp', input: ['logps'], output: [cap === null ? slopes : 'ps'] },
              // d logit / d product: 1 − tanh².
              ...(cap === null
                ? []
                : [
                    { opType: 'Mul', input: ['bounded', 'bounded'], output: ['squares'] },
                    { opType: 'Mul', input: ['ps', 'squares'], output: ['lost'] },
                    { opType: 'Sub', input: ['ps', 'lost'], output: [slopes] },
                  ]),
              ...(narrow ? [cast(slopes, 'narrowSlopes', type)] : []),
              {
                opType: 'MatMul',
                name: `${table}/mean`,
                input: [narrow ? 'narrowSlopes' : slopes, table],
                output: ['mean'],
              },
            ]
          : []),
      ],
      input: [tensorType('chunk', type)],
      output: [tensorType('lse', 'float32'), ...(mean ? [tensorType('mean', type)] : [])],
    }
    return w.op(
      'Scan',
      [w.name(h!)],
      { body: subgraph('body', body), num_scan_inputs: 1 },
      mean ? 2 : 1,
    )
  },
}
