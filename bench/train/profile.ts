/** Where a step's time goes: onnxruntime's profile of the step's graph, by kind of work and by op type. */
import { readFile } from 'node:fs/promises'
import type { Linear } from './flops.ts'

/** An event of onnxruntime's profile file (Chrome's trace format); times in microseconds. */
export type ProfileEvent = {
  readonly cat: string
  readonly name: string
  readonly ts: number
  readonly dur: number
  readonly args?: {
    readonly op_name?: string
    /** One object per input, type to shape. */
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[]
  }
}

export const kinds = [
  'base linears',
  'LoRA',
  'attention products',
  'attention elementwise',
  'vocabulary',
  'elementwise',
  'casts',
  'layout',
  'outside kernels',
] as const
export type Kind = (typeof kinds)[number]

/** A line of the table. */
export type Share = { readonly name: string; readonly microseconds: number; readonly nodes: number }

export type Profile = {
  readonly microseconds: number
  readonly runs: number
  readonly kinds: readonly Share[]
  readonly ops: readonly Share[]
}

const products = new Set(['MatMul', 'FusedMatMul', 'Gemm'])
const layout = new Set(
  'Reshape Concat Split Slice Gather Expand Transpose Squeeze Unsqueeze Identity Shape Pad Range'.split(
    ' ',
  ),
)
const loops = new Set(['Scan', 'Loop', 'If'])

/** What tells products apart: LoRA's rank, and the frozen linears. */
export type Adapted = { readonly rank: number; readonly linears: readonly Linear[] }

/**
 * By op type and shapes. Values of four and more dims are attention's. A product with a frozen weight is the base's, any other with a
 * side of LoRA's rank, or of up to three ranks side by side, is LoRA's.
 */
function kindOf({ args }: ProfileEvent, { rank, linears }: Adapted): Kind {
  const op = args?.op_name ?? ''
  const shapes = (args?.input_type_shape ?? []).flatMap((input) => Object.values(input))
  const deep = shapes.some((s) => s.length >= 4)
  if (loops.has(op)) return 'vocabulary'
  if (products.has(op)) {
    if (deep) return 'attention products'
    const two = shapes.slice(0, 2)
    const frozen = linears.some((l) => two.some(([out, from]) => out === l.out && from === l.in))
    const low = two.some((s) => [1, 2, 3].some((k) => s.includes(k * rank)))
    return !frozen && low ? 'LoRA' : 'base linears'
  }
  if (layout.has(op)) return 'layout'
  if (op === 'Cast') return 'casts'
  return deep ? 'attention elementwise' : 'elementwise'
}

/**
 * Sums over all runs but the first, which warms up (or over that one when there is no other). What runs inside a loop over the
 * vocabulary counts as vocabulary, and only once.
 */
export function summarize(events: readonly ProfileEvent[], adapted: Adapted): Profile {
  const all = events.filter((e) => e.name === 'model_run').sort((a, b) => a.ts - b.ts)
  const runs = all.length > 1 ? all.slice(1) : all
  if (runs.length === 0) throw new Error('the profile has no run of its session')
  const within = (e: ProfileEvent, outer: ProfileEvent) =>
    e.ts >= outer.ts && e.ts + e.dur <= outer.ts + outer.dur
  const byKind = new Map<string, { microseconds: number; nodes: number }>()
  const byOp = new Map<string, { microseconds: number; nodes: number }>()
  const count = (into: typeof byOp, name: string, microseconds: number, nodes = 1) => {
    const known = into.get(name) ?? { microseconds: 0, nodes: 0 }
    into.set(name, { microseconds: known.microseconds + microseconds, nodes: known.nodes + nodes })
  }

  const nodes = events
    .filter((e) => e.cat === 'Node' && e.name.endsWith('_kernel_time'))
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur)
  let at = 0
  for (const run of runs) {
    while (nodes[at] && nodes[at]!.ts < run.ts) at++
    let inKernels = 0
    let loop: { event: ProfileEvent; inside: number } | null = null
    const close = () => {
      if (loop) count(byOp, loop.event.args!.op_name!, loop.event.dur - loop.inside)
      loop = null
    }
    for (; nodes[at] && within(nodes[at]!, run); at++) {
      const node = nodes[at]!
      const op = node.args?.op_name ?? 'unknown'
      if (loop && within(node, loop.event)) {
        loop.inside += node.dur
        count(byOp, op, node.dur)
        continue
      }
      close()
      inKernels += node.dur
      count(byKind, kindOf(node, adapted), node.dur)
      if (loops.has(op)) loop = { event: node, inside: 0 }
      else count(byOp, op, node.dur)
    }
    close()
    count(byKind, 'outside kernels' satisfies Kind, run.dur - inKernels, 0)
  }
  const sorted = (from: typeof byOp): Share[] =>
    [...from]
      .map(([name, share]) => ({ name, ...share }))
      .sort((a, b) => b.microseconds - a.microseconds)
  return {
    microseconds: runs.reduce((n, r) => n + r.dur, 0),
    runs: runs.length,
    kinds: sorted(byKind),
    ops: sorted(byOp),
  }
}

/** The profile in a file of onnxruntime's. */
export const readProfile = async (file: string, adapted: Adapted): Promise<Profile> =>
  summarize(JSON.parse(await readFile(file, 'utf8')) as ProfileEvent[], adapted)
