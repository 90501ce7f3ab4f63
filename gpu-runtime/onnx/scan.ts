/**
 * A graph that is run step after step inside one run: ONNX Scan. The steps' graph is emitted like any other, and becomes the body;
 * what all steps share is computed once, before them: their weights' casts above all.
 */
import type { Emitted } from './emit.ts'
import { elementTypes, encodeModel, type Initializer, type Node, type ValueInfo } from './proto.ts'

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
}

/**
 * `before` followed by `step` as often as `perStep` inputs have entries; symbol `steps`. Outputs of `before` that the steps take
 * are not outputs of the run.
 */
export function scan(before: Emitted, step: Emitted, wiring: Wiring): Emitted {
  const { states, perStep, collected, given } = wiring
  const own = new Set([...states.map((s) => s.input), ...perStep])
  const rename = (name: string): string => (name === '' ? '' : `step/${name}`)
  const stored = new Map(step.graph.initializer?.map((i) => [i.name, i]))
  /** Names of what comes from outside the body, in the body's terms and in the main graph's. */
  const outside = new Map<string, string>()
  for (const { name } of step.graph.input)
    if (!own.has(name)) outside.set(name, given[name] ?? name)
  for (const { name, externalData } of stored.values()) if (externalData) outside.set(name, name)

  // What depends on no step is done before the steps, and once with what the graph before does as well.
  const known = new Map(before.graph.node.map((node) => [signature(node), node]))
  const shared: Node[] = []
  const constants = new Map<string, Initializer>()
  const inside: Node[] = []
  for (const node of step.graph.node) {
    const invariant =
      node.output.every((name) => !step.outputs.includes(name)) &&
      node.input.every((name) => name === '' || outside.has(name) || stored.has(name))
    if (!invariant) {
      inside.push(node)
      continue
    }
    const input = node.input.map((name) => {
      const constant = outside.has(name) ? undefined : stored.get(name)
      if (!constant) return outside.get(name) ?? name
      constants.set(name, { ...constant, name: `shared/${name}` })
      return `shared/${name}`
    })
    const moved = {
      ...node,
      name: `shared/${node.output[0]}`,
      input,
      output: node.output.map((name) => `shared/${name}`),
    }
    const same = known.get(signature(moved))
    if (!same) {
      shared.push(moved)
      known.set(signature(moved), moved)
    }
    node.output.forEach((name, i) => outside.set(name, (same ?? moved).output[i]!))
  }

  const inner = (name: string): string => outside.get(name) ?? rename(name)
  const needed = new Set(inside.flatMap((node) => node.input))
  const infos = new Map(step.graph.valueInfo?.map((info) => [info.name, info]))
  const produced = new Set(inside.flatMap((node) => node.output))
  const inputOf = new Map(step.graph.input.map((info) => [info.name, info]))
  const outputOf = new Map(step.graph.output.map((info) => [info.name, info]))
  const renamed = (info: ValueInfo): ValueInfo => ({ ...info, name: rename(info.name) })
  const bodyInputs = [...states.map((s) => s.input), ...perStep]
  const bodyOutputs = [...states.map((s) => s.output), ...collected]
  const body = {
    name: 'step',
    node: inside.map((node) => ({
      ...node,
      name: rename(node.output[0]!),
      input: node.input.map(inner),
      output: node.output.map(rename),
    })),
    initializer: [...stored.values()]
      .filter(({ name }) => needed.has(name) && !outside.has(name))
      .map((initializer) => ({ ...initializer, name: rename(initializer.name) })),
    input: bodyInputs.map((name) => renamed(inputOf.get(name)!)),
    output: bodyOutputs.map((name) => renamed(outputOf.get(name)!)),
    valueInfo: [...infos.values()].filter(({ name }) => produced.has(name)).map(renamed),
  }

  const results = [...states.map(({ input }) => `last/${input}`), ...collected]
  const taken = new Set([...Object.values(given), ...states.map((s) => s.first)])
  const lasts = states.filter((s) => s.last !== undefined)
  const main = {
    name: before.graph.name,
    node: [
      ...shared,
      ...before.graph.node,
      {
        opType: 'Scan',
        name: 'steps',
        input: [...states.map((s) => s.first), ...perStep],
        output: results,
        attribute: [
          { name: 'body', type: 5, g: body } as const,
          { name: 'num_scan_inputs', type: 2, i: perStep.length } as const,
        ],
      },
      ...lasts.map(({ input, last }) => ({
        opType: 'Cast',
        name: last!,
        input: [`last/${input}`],
        output: [last!],
        attribute: [{ name: 'to', type: 2, i: elementTypes.float32 } as const],
      })),
    ],
    initializer: [
      ...new Map(
        [
          ...(before.graph.initializer ?? []),
          ...[...stored.values()].filter(({ externalData }) => externalData),
          ...constants.values(),
        ].map((initializer) => [initializer.name, initializer]),
      ).values(),
    ],
    input: [
      ...new Map(
        [
          ...before.graph.input,
          ...step.graph.input
            .filter(({ name }) => !(name in given) && !states.some((s) => s.input === name))
            .map((info) => (perStep.includes(info.name) ? stacked(info) : info)),
        ].map((info) => [info.name, info]),
      ).values(),
    ],
    output: [
      ...before.graph.output.filter(({ name }) => !taken.has(name)),
      ...lasts.map(({ last }) => ({
        name: last!,
        type: { tensorType: { elemType: elementTypes.float32 } },
      })),
      ...collected.map((name) => outputOf.get(name)!),
    ],
    valueInfo: before.graph.valueInfo ?? [],
  }
  const fed = [...step.inputs].filter(
    ([name]) => !(name in given) && !states.some((s) => s.input === name),
  )
  return {
    model: encodeModel(main),
    graph: main,
    inputs: new Map([
      ...before.inputs,
      ...fed.map(([name, { shape, dtype }]) => {
        const whole = perStep.includes(name) ? [steps, ...shape] : shape
        return [name, { shape: whole, dtype }] as const
      }),
    ]),
    shapes: new Map([...before.shapes, ...step.shapes]),
    outputs: main.output.map((o) => o.name),
    parameters: Math.max(before.parameters, step.parameters),
  }
}

const steps = 'steps'

function stacked({ name, type: { tensorType } }: ValueInfo): ValueInfo {
  const dim = [{ dimParam: steps }, ...(tensorType.shape?.dim ?? [])]
  return { name, type: { tensorType: { ...tensorType, shape: { dim } } } }
}

/** Equal for nodes that compute the same. */
const signature = ({ opType, domain = '', input, attribute = [] }: Node): string =>
  JSON.stringify([opType, domain, input, attribute])
