/**
 * A graph that is run step after step inside one run: ONNX Scan. The steps' graph is emitted like any other, and becomes the body;
 * what all steps share is computed once, before them: their weights' casts above all.
 */
import type { Emitted } from './emit.ts'
import {
  elementTypes,
  encodeModel,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
} from './proto.ts'

/** How inputs and outputs of the steps meet the graph before them and the run. All other inputs of the steps are the run's. */
export type Wiring = {
  /** Inputs of a step that are outputs of the one before it: the first step's value is an output of the graph before. */
  readonly states: readonly {
    readonly input: string
    readonly first: string
    readonly output: string
    /** Name of the last step's value as an output of the run, in float32. */
    readonly last?: string
  }[]
  /** Inputs that the run is fed for all steps together, [steps, ...]. */
  readonly perStep: readonly string[]
  /** Outputs that the run returns of all steps together, [steps, ...]. */
  readonly collected: readonly string[]
  /** Inputs that are outputs of the graph before. */
  readonly given: Readonly<Record<string, string>>
  /** Are weights in four bits made dense in each step? Else once, and the run holds the whole dense model. */
  readonly packed: boolean
}

/** Dimension of what a run is fed or returns for all steps together. */
const steps = 'steps'

/**
 * `before` followed by `step`, as often as the fed `perStep` inputs have entries (symbol `steps`, at least 1). Outputs of `before`
 * that the steps take are not outputs of the run.
 */
export function scan(before: Emitted, step: Emitted, wiring: Wiring): Emitted {
  const { states, perStep, collected, given } = wiring
  const work = divide(before.graph, step, wiring)
  const taken = new Set([...Object.values(given), ...states.map((s) => s.first)])
  const lasts = states.flatMap(({ input, last }) => (last ? [{ from: `last/${input}`, last }] : []))
  const fromOutside = (name: string) => !(name in given) && !states.some((s) => s.input === name)
  const fed = step.graph.input.filter(({ name }) => fromOutside(name))
  const graph: Graph = {
    name: before.graph.name,
    node: [
      ...work.shared,
      ...before.graph.node,
      {
        opType: 'Scan',
        name: 'steps',
        input: [...states.map((s) => s.first), ...perStep],
        output: [...states.map(({ input }) => `last/${input}`), ...collected],
        attribute: [
          { name: 'body', type: 5, g: bodyOf(step, work, wiring) },
          { name: 'num_scan_inputs', type: 2, i: perStep.length },
        ],
      },
      ...lasts.map(({ from, last }): Node => ({
        opType: 'Cast',
        name: last,
        input: [from],
        output: [last],
        attribute: [{ name: 'to', type: 2, i: elementTypes.float32 }],
      })),
    ],
    initializer: unique([
      ...(before.graph.initializer ?? []),
      ...(step.graph.initializer ?? []).filter(({ externalData }) => externalData),
      ...work.constants,
    ]),
    input: unique([
      ...before.graph.input,
      ...fed.map((info) => (perStep.includes(info.name) ? stacked(info) : info)),
    ]),
    output: [
      ...before.graph.output.filter(({ name }) => !taken.has(name)),
      ...lasts.map(({ last }) => ({
        name: last,
        type: { tensorType: { elemType: elementTypes.float32 } },
      })),
      ...step.graph.output.filter(({ name }) => collected.includes(name)),
    ],
    valueInfo: before.graph.valueInfo ?? [],
  }
  const inputs = [...step.inputs].filter(([name]) => fromOutside(name))
  return {
    model: encodeModel(graph),
    graph,
    inputs: new Map([
      ...before.inputs,
      ...inputs.map(([name, { shape, dtype }]) => {
        const whole = perStep.includes(name) ? [steps, ...shape] : shape
        return [name, { shape: whole, dtype }] as const
      }),
    ]),
    shapes: new Map([...before.shapes, ...step.shapes]),
    outputs: graph.output.map((o) => o.name),
    parameters: Math.max(before.parameters, step.parameters),
  }
}

type Work = {
  /** What depends on no step, done before them, with its constants. */
  readonly shared: readonly Node[]
  readonly constants: readonly Initializer[]
  /** The rest, in the steps' own names, and what the main graph calls each value that the rest takes from it. */
  readonly inside: readonly Node[]
  readonly outside: ReadonlyMap<string, string>
}

/** Divides a step's work. What the graph before does as well is done once for both. */
function divide(before: Graph, step: Emitted, { states, perStep, given, packed }: Wiring): Work {
  const own = new Set([...states.map((s) => s.input), ...perStep])
  const stored = new Map(step.graph.initializer?.map((i) => [i.name, i]))
  const outside = new Map<string, string>()
  for (const { name } of step.graph.input)
    if (!own.has(name)) outside.set(name, given[name] ?? name)
  for (const { name, externalData } of stored.values()) if (externalData) outside.set(name, name)

  const isPacked = (name: string) => stored.get(name)?.dataType === elementTypes.uint8

  const known = new Map(before.node.map((node) => [signature(node), node]))
  const shared: Node[] = []
  const constants = new Map<string, Initializer>()
  const inside: Node[] = []
  for (const node of step.graph.node) {
    const depends =
      node.output.some((name) => step.outputs.includes(name)) ||
      (packed && node.input.some(isPacked)) ||
      node.input.some((name) => name !== '' && !outside.has(name) && !stored.has(name))
    if (depends) {
      inside.push(node)
      continue
    }
    const input = node.input.map((name) => {
      if (name === '' || outside.has(name)) return outside.get(name) ?? ''
      constants.set(name, { ...stored.get(name)!, name: ahead(name) })
      return ahead(name)
    })
    const output = node.output.map(ahead)
    const moved = { ...node, name: output[0]!, input, output }
    const same = known.get(signature(moved)) ?? moved
    if (same === moved) shared.push(moved)
    known.set(signature(same), same)
    node.output.forEach((name, i) => outside.set(name, same.output[i]!))
  }
  return { shared, constants: [...constants.values()], inside: withoutCopies(inside), outside }
}

/** Names of a step's values, in the main graph and in the body: both see each other's. */
const ahead = (name: string): string => `shared/${name}`
const within = (name: string): string => (name === '' ? '' : `step/${name}`)

/** Equal for nodes that compute the same. */
const signature = ({ opType, domain = '', input, attribute = [] }: Node): string =>
  JSON.stringify([opType, domain, input, attribute])

/** The emitter's last nodes give results their names; here that would copy each state in each step. */
function withoutCopies(nodes: readonly Node[]): Node[] {
  const produced = new Set(nodes.flatMap((node) => node.output))
  const names = new Map<string, string>()
  const kept = nodes.filter(({ opType, input: [from], output: [to] }) => {
    if (opType !== 'Identity' || !produced.has(from!) || names.has(from!)) return true
    names.set(from!, to!)
    return false
  })
  const named = (name: string) => names.get(name) ?? name
  return kept.map((node) => ({
    ...node,
    input: node.input.map(named),
    output: node.output.map(named),
  }))
}

function bodyOf(
  { graph }: Emitted,
  { inside, outside }: Work,
  { states, perStep, collected }: Wiring,
): Graph {
  const needed = new Set(inside.flatMap((node) => node.input))
  const produced = new Set(inside.flatMap((node) => node.output))
  const infos = new Map([...graph.input, ...graph.output].map((info) => [info.name, info]))
  const renamed = <T extends { readonly name: string }>(x: T): T => ({ ...x, name: within(x.name) })
  const declared = (names: readonly string[]) => names.map((name) => renamed(infos.get(name)!))
  return {
    name: 'step',
    node: inside.map((node) => ({
      ...node,
      name: within(node.output[0]!),
      input: node.input.map((name) => outside.get(name) ?? within(name)),
      output: node.output.map(within),
    })),
    initializer: (graph.initializer ?? [])
      .filter(({ name }) => needed.has(name) && !outside.has(name))
      .map(renamed),
    input: declared([...states.map((s) => s.input), ...perStep]),
    output: declared([...states.map((s) => s.output), ...collected]),
    valueInfo: (graph.valueInfo ?? []).filter(({ name }) => produced.has(name)).map(renamed),
  }
}

function stacked({ name, type: { tensorType } }: ValueInfo): ValueInfo {
  const dim = [{ dimParam: steps }, ...(tensorType.shape?.dim ?? [])]
  return { name, type: { tensorType: { ...tensorType, shape: { dim } } } }
}

/** The last of each name, where the first was. */
const unique = <T extends { readonly name: string }>(xs: readonly T[]): T[] => [
  ...new Map(xs.map((x) => [x.name, x])).values(),
]
