/**
 * IR to ONNX. Calls are inlined; each body gets a scope of its own, so a backward body that mentions forward values without
 * binding them emits them a second time, which is the recomputation.
 *
 * The order of nodes in the file steers the order of execution. onnxruntime walks back from the graph's leaves and takes the
 * producer with the highest index first, so what must run late has to stand early among its consumer's producers:
 *
 *   casts        weights to the compute type: lowest, so each is made just before the node that needs it
 *   forward
 *   recompute    of all layers: below the upstream gradients, so a layer recomputes only once its gradient has arrived
 *   backward     last layer first
 *   gradients    of trainables: the last layer's stand highest and run first, right after their layer's backward pass
 *   end          the flat gradient
 */
import { FormatError } from '../error.ts'
import { is, order, type Body, type DType, type Op, type Tensor } from '../tensor/tensor.ts'
import { sameShape, type Dim, type Shape } from '../tensor/dim.ts'
import {
  elementTypes,
  encodeModel,
  encodeValues,
  type Attribute,
  type ElementType,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
} from './proto.ts'
import type { DenseWeight, StoredWeight } from '../tensor/storedWeight.ts'
import { rules } from './rules.ts'
import { dequantized, external } from './weights.ts'

/** What a graph computes; gradients are in the order of the trainables. */
export type Program = {
  /** Values to return, by name. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Trainables in the order in which they lie in the flat vector (input `trainables`). */
  readonly trainables?: readonly Tensor[]
  /** Their gradients, returned flat as output `gradient`. */
  readonly gradients?: readonly Tensor[]
}

/** An ONNX model and what has to be known to feed it. Weights are not in `model`: it points into their files. */
export type Emitted = {
  readonly model: Uint8Array
  /** What `model` is the bytes of. */
  readonly graph: Graph
  readonly inputs: ReadonlyMap<string, { readonly shape: Shape; readonly dtype: ElementType }>
  /** Inputs that are shapes: the session computes them from the bound symbols. */
  readonly shapes: ReadonlyMap<string, readonly Dim[]>
  readonly outputs: readonly string[]
  /** Length of the flat vector of trainables. */
  readonly parameters: number
}

/** What `compute` may stand for: the first is the CPU provider's only one. */
export type ComputeType = 'float32' | 'bfloat16' | 'float16'

/** Nodes that stand for all their results: their own shape means nothing. */
const several = new Set<Op>(['call', 'split', 'group', 'weigh', 'rmsNorm', 'vocabulary'])

const sections = { casts: 0, forward: 1, recompute: 2, backward: 3, gradients: 4, end: 5 }
type Section = keyof typeof sections

/** What an emission rule may use. */
export type Writer = {
  /** Name of a tensor's value, emitted when it is not there yet. */
  name(x: Tensor): string
  /** Add a node and return the names of its outputs. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes?: Record<string, number | readonly number[] | Attribute>,
    outputs?: number,
    domain?: string,
  ): string[]
  /** Name of an int64 vector holding a shape; `free` allows one -1. */
  shape(dims: readonly Dim[], free?: boolean): string
  integers(values: readonly number[]): string
  constant(values: readonly number[], shape: readonly number[], dtype: DType): string
  /** How values of a type are stored in this graph. */
  elementType(dtype: DType): ElementType
  /** Is result `index` of y used by anybody in this scope? */
  uses(y: Tensor, index: number): boolean
  /** A dense weight as it is stored: its rows are gathered first and cast after. */
  stored(x: Tensor): { name: string; dtype: DenseWeight['dtype'] } | null
}

type Scope = {
  readonly values: Map<Tensor, string[]>
  readonly section: (x: Tensor) => Section
  /** Which results of a node are mentioned in this scope. */
  readonly used: ReadonlyMap<Tensor, ReadonlySet<number>>
  readonly label: string
}

/**
 * `compute` is what the type of that name stands for. Throws FormatError when a weight is missing or has another shape than the
 * graph expects.
 */
export function emit(
  program: Program,
  weight: (name: string) => StoredWeight,
  compute: ComputeType = 'float32',
): Emitted {
  const elementType = (dtype: DType): ElementType => (dtype === 'compute' ? compute : dtype)
  const nodes: { section: number; rank: number; node: Node }[] = []
  const initializers = new Map<string, Initializer>()
  const inputs = new Map<string, { shape: Shape; dtype: ElementType }>()
  const shapes = new Map<string, readonly Dim[]>()
  const leafGradients = new Set<Tensor>()
  /** Leaf gradients by name: their flattening keeps the rank, so that both run together. */
  const ranks = new Map<string, number>()
  /**
   * Shapes of values. Without them onnxruntime's planner finds no buffer to reuse, and searches longer the more there are:
   * opening the step of a 30-layer model took 5.6 s instead of 0.8.
   */
  const valueInfo = new Map<string, ValueInfo>()
  let names = 0
  let backwardCalls = 0

  for (const g of program.gradients ?? []) {
    if (is(g, 'result') && is(g.inputs[0]!, 'call'))
      leafGradients.add(g.inputs[0].attributes.body.results[g.attributes.index]!)
  }

  /** By node, so that a long one is in the model once, wherever it is mentioned. */
  const constants = new Map<Tensor, string>()
  const constant = (values: readonly number[], shape: readonly number[], dtype: DType): string => {
    const type = elementType(dtype)
    const name = `constant:${type}[${shape}]${values.length > 16 ? names++ : values}`
    if (!initializers.has(name))
      initializers.set(name, {
        name,
        dims: shape,
        dataType: elementTypes[type],
        rawData: encodeValues(values, type),
      })
    return name
  }

  const stored = ({ attributes: { name }, shape }: Tensor<'weight'>): StoredWeight => {
    const found = weight(name)
    if (!sameShape(found.shape, shape)) {
      const { file } = found.dtype === 'nf4' ? found.codes : found
      throw new FormatError(
        `${file}: tensor "${name}" has shape [${found.shape}], the configuration expects [${shape}]`,
      )
    }
    return found
  }

  const initialize = (initializer: Initializer): string => {
    if (!initializers.has(initializer.name)) initializers.set(initializer.name, initializer)
    return initializer.name
  }

  /** Weights that are not of the compute type are converted for each use: kept, they would take what their type saves. */
  const converted = (x: Tensor): boolean => is(x, 'weight') && stored(x).dtype !== compute

  const put = (section: Section, rank: number, node: Node) => {
    nodes.push({ section: sections[section], rank, node })
    if (section === 'gradients') ranks.set(node.output[0]!, rank)
  }

  function writer(scope: Scope, section: Section, rank: number, label: string): Writer {
    return {
      name: (x) => value(x, scope),
      op(opType, ins, attributes = {}, outputs = 1, domain = '') {
        const output = Array.from({ length: outputs }, () => `${label}#${names++}`)
        put(section, rank, {
          opType,
          domain,
          name: output[0]!,
          input: ins,
          output,
          attribute: attributeList(attributes),
        })
        return output
      },
      shape(dims, free = true) {
        const symbolic = dims.filter((d) => typeof d !== 'number').length
        if (symbolic === 0) return constant(dims as number[], [dims.length], 'int64')
        if (free && symbolic === 1)
          return constant(
            dims.map((d) => (typeof d === 'number' ? d : -1)),
            [dims.length],
            'int64',
          )
        const name = `shape:${dims}`
        shapes.set(name, dims)
        return name
      },
      integers: (values) => constant(values, [values.length], 'int64'),
      constant,
      elementType,
      uses: (y, index) => scope.used.get(y)?.has(index) ?? false,
      stored(x) {
        if (!is(x, 'weight')) return null
        const found = stored(x)
        if (found.dtype === 'nf4') return null
        const name = initialize(external(x.attributes.name, found, found.shape, found.dtype))
        return { name, dtype: found.dtype }
      },
    }
  }

  /** Name of the (first) value of x, which is emitted with all it needs when it is new in the scope. */
  function value(x: Tensor, scope: Scope): string {
    return values(x, scope)[0]!
  }

  function values(x: Tensor, scope: Scope): string[] {
    const known = scope.values.get(x)
    if (known) return known
    const made = make(x, scope)
    describe(x, made[0]!)
    if (!converted(x)) scope.values.set(x, made)
    return made
  }

  function describe(x: Tensor, name: string): void {
    if (several.has(x.op) || inputs.has(name) || initializers.has(name)) return
    valueInfo.set(name, info(name, elementType(x.dtype), x.shape))
  }

  function make(x: Tensor, scope: Scope): string[] {
    if (is(x, 'result')) return [values(x.inputs[0]!, scope)[x.attributes.index]!]
    if (is(x, 'input')) {
      inputs.set(x.attributes.name, { shape: x.shape, dtype: elementType(x.dtype) })
      return [x.attributes.name]
    }
    if (is(x, 'constant')) {
      const made = constants.get(x) ?? constant(x.attributes.data, x.attributes.shape, x.dtype)
      constants.set(x, made)
      return [made]
    }
    if (is(x, 'weight')) {
      const { name } = x.attributes
      const found = stored(x)
      const w = writer(scope, 'casts', 0, name)
      if (found.dtype === 'nf4') return dequantized(name, found, compute, w, initialize)
      initialize(external(name, found, found.shape, found.dtype))
      return found.dtype === compute ? [name] : w.op('Cast', [name], { to: elementTypes[compute] })
    }
    if (is(x, 'call')) return inline(x, scope)
    const section = scope.section(x)
    const rank = section === 'gradients' ? -backwardCalls : 0
    const rule = rules[x.op as keyof typeof rules] as
      | ((x: Tensor, w: Writer) => string[])
      | undefined
    if (!rule)
      throw new Error(`internal: ${x.op} has no value of its own in ${scope.label || 'the graph'}`)
    return rule(x, writer(scope, section, rank, `${scope.label}/${x.op}`))
  }

  function inline(x: Tensor<'call'>, scope: Scope): string[] {
    const { body } = x.attributes
    const given = x.inputs.map((input) => values(input, scope))
    if (body.role === 'backward') backwardCalls++
    const inner = open(
      body.results,
      new Map(body.bound.map((b, i) => [b, given[i]!])),
      body.label,
      body.role === 'forward' ? () => 'forward' : backwardSections(body, leafGradients),
    )
    return run(body.results, inner).map((names) => names[0]!)
  }

  /** Emit in topological order, so that recursion stays shallow. */
  function run(roots: readonly Tensor[], scope: Scope): string[][] {
    for (const x of order(roots, new Set(scope.values.keys()))) if (!converted(x)) values(x, scope)
    return roots.map((r) => values(r, scope))
  }

  const trainables = program.trainables ?? []
  const sizes = trainables.map((t) => t.shape.reduce<number>((a, d) => a * (d as number), 1))
  const parameters = sizes.reduce((a, b) => a + b, 0)
  // The flat vector is taken apart and put together in rows: CUDA's Split and Concat upload a table of 8 bytes for each index
  // along their axis, which for single values would be more than the values.
  const width = sizes.reduce(commonDivisor, 0)
  const packed = new Map<Tensor, string[]>()
  if (trainables.length > 0) {
    inputs.set('trainables', { shape: [parameters], dtype: 'float32' })
    const start = writer(
      open([], packed, '', () => 'casts'),
      'casts',
      -1,
      'trainables',
    )
    const pieces =
      trainables.length === 1
        ? ['trainables']
        : start.op(
            'Split',
            [
              start.op('Reshape', ['trainables', start.shape([-1, width])])[0]!,
              start.integers(sizes.map((n) => n / width)),
            ],
            { axis: 0 },
            trainables.length,
          )
    trainables.forEach((t, i) =>
      packed.set(t, start.op('Reshape', [pieces[i]!, start.shape(t.shape)])),
    )
  }

  const forwardRoots = Object.values(program.outputs)
  const forward = new Set(order(forwardRoots))
  const main = open([...forwardRoots, ...(program.gradients ?? [])], packed, '', (x) =>
    forward.has(x) ? 'forward' : 'backward',
  )
  const outputNames = run(forwardRoots, main).map((n) => n[0]!)
  const outputs: ValueInfo[] = []
  const finish = (name: string, from: string, dtype: ElementType) => {
    put('end', 0, { opType: 'Identity', input: [from], output: [name] })
    outputs.push({ name, type: { tensorType: { elemType: elementTypes[dtype] } } })
  }
  Object.keys(program.outputs).forEach((name, i) =>
    finish(name, outputNames[i]!, elementType(forwardRoots[i]!.dtype)),
  )
  if (program.gradients) {
    const flat = run(program.gradients, main).map(
      ([name]) =>
        writer(main, 'gradients', ranks.get(name!) ?? 0, 'gradient').op('Reshape', [
          name!,
          constant([-1, width], [2], 'int64'),
        ])[0]!,
    )
    const end = writer(main, 'end', 1, 'gradient')
    const all = end.op('Concat', flat, { axis: 0 })
    finish('gradient', end.op('Reshape', [all[0]!, end.integers([-1])])[0]!, 'float32')
  }

  nodes.sort((a, b) => a.section - b.section || a.rank - b.rank)
  const declared: ValueInfo[] = [
    ...[...inputs].map(([name, { shape, dtype }]) => info(name, dtype, shape)),
    ...[...shapes].map(([name, dims]) => info(name, 'int64', [dims.length])),
  ]
  const graph: Graph = {
    name: 'oddsmith',
    node: nodes.map((n) => n.node),
    initializer: [...initializers.values()],
    input: declared,
    output: outputs,
    valueInfo: [...valueInfo.values()],
  }
  return {
    model: encodeModel(graph),
    graph,
    inputs,
    shapes,
    outputs: outputs.map((o) => o.name),
    parameters,
  }
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b))

function open(
  roots: readonly Tensor[],
  given: ReadonlyMap<Tensor, string[]>,
  label: string,
  section: (x: Tensor) => Section,
): Scope {
  const used = new Map<Tensor, Set<number>>()
  for (const x of order(roots, new Set(given.keys()))) {
    if (!is(x, 'result') || given.has(x)) continue
    const indexes = used.get(x.inputs[0]!) ?? new Set()
    used.set(x.inputs[0]!, indexes.add(x.attributes.index))
  }
  return { values: new Map(given), section, used, label }
}

function backwardSections(
  { bound, upstream, results }: Body,
  leafGradients: ReadonlySet<Tensor>,
): (x: Tensor) => Section {
  const stop = new Set(bound)
  const dependent = new Set(upstream)
  for (const x of order(results, stop))
    if (!stop.has(x) && x.inputs.some((i) => dependent.has(i))) dependent.add(x)
  return (x) => (leafGradients.has(x) ? 'gradients' : dependent.has(x) ? 'backward' : 'recompute')
}

const info = (name: string, dtype: ElementType, shape: Shape): ValueInfo => ({
  name,
  type: {
    tensorType: {
      elemType: elementTypes[dtype],
      shape: { dim: shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) },
    },
  },
})

function attributeList(
  attributes: Record<string, number | readonly number[] | Attribute>,
): Attribute[] {
  return Object.entries(attributes).map(([name, v]): Attribute => {
    if (typeof v === 'number')
      return Number.isInteger(v) && name !== 'alpha' && name !== 'epsilon'
        ? { name, type: 2, i: v }
        : { name, type: 1, f: v }
    return Array.isArray(v) ? { name, type: 7, ints: v } : (v as Attribute)
  })
}
