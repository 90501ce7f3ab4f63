/** Reverse mode: one loop over the VJP table, and the rule of `call`, at which forward values are kept or recomputed. */
import { sameShape, type Shape } from './dim.ts'
import { is, node, order, type Attributes, type Body, type Op, type Tensor } from './tensor.ts'
import { add, isKept, reshape, result, sum } from './ops.ts'
import { vjps, type Gradients } from './vjp.ts'

/**
 * What the backward pass of a call may use of the forward pass. NONE recomputes nothing: everything it mentions is kept.
 * ATTENTION keeps what the model marked by `keep` and recomputes the rest (attention probabilities, elementwise).
 * LAYER keeps the call's inputs only.
 */
export type Recompute = 'NONE' | 'ATTENTION' | 'LAYER'

/** Gradients of Σ ⟨output, cotangent⟩ in `wrt`; null where it does not depend on it. Shapes are those of `wrt`. */
export function gradient(
  cotangents: ReadonlyMap<Tensor, Tensor>,
  wrt: readonly Tensor[],
  recompute: Recompute,
): (Tensor | null)[] {
  const nodes = order([...cotangents.keys()])
  const active = new Set<Tensor>(wrt)
  for (const n of nodes) if (n.inputs.some((x) => active.has(x))) active.add(n)

  const gradients = new Map<Tensor, Tensor>()
  const several = new Map<Tensor, (Tensor | null)[]>()
  const accumulate = (x: Tensor, g: Tensor) => {
    const narrow = unbroadcast(g, x.shape)
    const sofar = gradients.get(x)
    gradients.set(x, sofar ? add(sofar, narrow) : narrow)
  }
  for (const [y, g] of cotangents) accumulate(y, g)

  for (const y of nodes.reverse()) {
    if (!active.has(y)) continue
    const g = gradients.get(y)
    if (is(y, 'result')) {
      const [of] = y.inputs
      const gs = several.get(of!) ?? []
      if (g) gs[y.attributes.index] = gs[y.attributes.index] ? add(gs[y.attributes.index]!, g) : g
      several.set(of!, gs)
      continue
    }
    const gs = Array.from(several.get(y) ?? [], (x) => x ?? null)
    if (!g && !gs.some(Boolean)) continue
    const needs = y.inputs.map((x) => active.has(x))
    const contributions = is(y, 'call') ? callVjp(y, gs, needs, recompute) : vjp(y, g, gs)
    y.inputs.forEach((x, i) => {
      if (needs[i] && contributions[i]) accumulate(x, contributions[i]!)
    })
  }
  return wrt.map((x) => gradients.get(x) ?? null)
}

function vjp<O extends Op>(y: Tensor<O>, g: Tensor | undefined, gs: Gradients): Gradients {
  const rule = vjps[y.op as Exclude<Op, 'call' | 'result'>] as (
    g: Tensor,
    y: Tensor,
    gs: Gradients,
  ) => Gradients
  const width = resultCount(y)
  return rule(
    g!,
    y,
    Array.from({ length: width }, (_, i) => gs[i] ?? null),
  )
}

function resultCount({ op, attributes }: Tensor): number {
  if (op === 'split') return (attributes as Attributes['split']).sizes.length
  if (op === 'group') return (attributes as Attributes['group']).groups
  return 1
}

function unbroadcast(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g
  const lead = g.shape.length - shape.length
  const axes = g.shape.flatMap((d, i) =>
    i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : [],
  )
  return reshape(sum(g, axes), shape)
}

/** The backward pass of a call is a call whose body mentions forward nodes: bound ones arrive, the others are computed again. */
function callVjp(
  y: Tensor<'call'>,
  gs: Gradients,
  needs: readonly boolean[],
  recompute: Recompute,
): Gradients {
  const { body } = y.attributes
  const cotangents = new Map<Tensor, Tensor>()
  const given: Tensor[] = []
  body.results.forEach((r, i) => {
    if (!gs[i]) return
    const parameter = node('parameter', [], { shape: r.shape, dtype: r.dtype })
    const sofar = cotangents.get(r)
    cotangents.set(r, sofar ? add(sofar, parameter) : parameter)
    given.push(parameter)
  })
  const inner = gradient(
    cotangents,
    body.bound.filter((_, i) => needs[i]),
    recompute,
  )
  const results = inner.filter((g) => g !== null)
  const kept = keptValues(body, results, recompute)
  const backward: Body = {
    label: body.label,
    role: 'backward',
    bound: [...body.bound, ...kept, ...given],
    upstream: given,
    results,
  }
  const residuals = kept.map((k) => {
    const at = body.results.indexOf(k)
    return result(y, at >= 0 ? at : body.results.push(k) - 1)
  })
  const made = node('call', [...y.inputs, ...residuals, ...gs.filter((g) => g !== null)], {
    body: backward,
  })
  let at = 0
  const byNeed = inner.map((g) => (g ? result(made, at++) : null))
  let need = 0
  return needs.map((n) => (n ? byNeed[need++]! : null))
}

const leaves = new Set<Op>(['input', 'weight', 'trainable', 'constant', 'parameter'])

/** The forward values that a backward body gets from outside, found by walking from its results. */
function keptValues(body: Body, results: readonly Tensor[], recompute: Recompute): Tensor[] {
  if (recompute === 'LAYER') return []
  const forward = new Set(order(body.results))
  const bound = new Set(body.bound)
  const kept = new Set<Tensor>()
  const seen = new Set<Tensor>()
  const visit = (x: Tensor): void => {
    if (seen.has(x) || bound.has(x) || leaves.has(x.op)) return
    seen.add(x)
    const isForward = forward.has(x) || (x.op === 'result' && forward.has(x.inputs[0]!))
    if (isForward && (recompute === 'NONE' || isKept(x))) {
      kept.add(x)
      return
    }
    x.inputs.forEach(visit)
  }
  results.forEach(visit)
  return [...kept]
}
