/** Removes what does nothing: identities that the gradient rules leave behind. Bodies are simplified with everything around them. */
import { sameShape } from './dim.ts'
import { is, node, order, type Body, type Op, type Tensor } from './tensor.ts'

/**
 * What a node may be replaced by; itself when there is nothing to gain. Inputs are simplified already. `through` says whether a
 * rule may look past an input: a value that a body gets from outside must not be replaced by how it was made.
 */
type Rule<O extends Op> = (x: Tensor<O>, through: (input: Tensor) => boolean) => Tensor

const isConstant = (x: Tensor, v: number): boolean =>
  is(x, 'constant') && x.attributes.data.every((d) => d === v)

/** a ∘ neutral = a, where the neutral element does not widen the shape. */
const neutral =
  (v: number, commutes: boolean) =>
  (x: Tensor): Tensor => {
    const [a, b] = x.inputs
    if (isConstant(b!, v) && sameShape(a!.shape, x.shape)) return a!
    if (commutes && isConstant(a!, v) && sameShape(b!.shape, x.shape)) return b!
    return x
  }

const rules: { [O in Op]?: Rule<O> } = {
  add: neutral(0, true),
  sub: neutral(0, false),
  mul: neutral(1, true),
  div: neutral(1, false),
  neg: (x, through) => {
    const [from] = x.inputs
    return is(from!, 'neg') && through(from) ? from.inputs[0]! : x
  },
  reshape: (x, through) => {
    const [from] = x.inputs
    const source = is(from!, 'reshape') && through(from) ? from.inputs[0]! : from!
    if (sameShape(source.shape, x.shape)) return source
    return source === from ? x : node('reshape', [source], x.attributes)
  },
  expand: (x) => (sameShape(x.inputs[0]!.shape, x.shape) ? x.inputs[0]! : x),
  sum: (x) => (x.attributes.axes.every((a) => x.inputs[0]!.shape[a] === 1) ? x.inputs[0]! : x),
}

/** One pass over everything that `roots` reach, of one program: values kept for a backward body stay the same node in both bodies. */
export function simplify(roots: readonly Tensor[]): Tensor[] {
  const done = new Map<Tensor, Tensor>()
  const bodies = new Map<Body, Body>()
  const opaque = boundAnywhere(roots)

  const rewrite = (root: Tensor): Tensor => {
    // By hand instead of recursion: a deep model's chain of nodes is longer than the stack.
    const stack = [root]
    while (stack.length > 0) {
      const x = stack.at(-1)!
      if (done.has(x)) {
        stack.pop()
        continue
      }
      const waiting = x.inputs.filter((i) => !done.has(i))
      if (waiting.length > 0) {
        stack.push(...waiting)
        continue
      }
      const made = replace(x)
      done.set(x, made)
      if (opaque.has(x)) opaque.add(made)
      stack.pop()
    }
    return done.get(root)!
  }

  const replace = (x: Tensor): Tensor => {
    const inputs = x.inputs.map((i) => done.get(i)!)
    if (is(x, 'call')) return node('call', inputs, { body: rewriteBody(x.attributes.body) })
    const same = inputs.every((input, i) => input === x.inputs[i])
    const rebuilt = same ? x : node(x.op as Op, inputs, x.attributes as never)
    const rule = rules[x.op] as Rule<Op> | undefined
    return rule ? rule(rebuilt, (input) => !opaque.has(input)) : rebuilt
  }

  const rewriteBody = (body: Body): Body => {
    const known = bodies.get(body)
    if (known) return known
    const made = {
      ...body,
      bound: body.bound.map(rewrite),
      upstream: body.upstream.map(rewrite),
      results: body.results.map(rewrite),
    }
    bodies.set(body, made)
    return made
  }

  return roots.map(rewrite)
}

/** Every value that some body gets from outside. */
function boundAnywhere(roots: readonly Tensor[]): Set<Tensor> {
  const found = new Set<Tensor>()
  const seen = new Set<Body>()
  const visit = (from: readonly Tensor[]): void => {
    for (const x of order(from)) {
      if (!is(x, 'call') || seen.has(x.attributes.body)) continue
      seen.add(x.attributes.body)
      x.attributes.body.bound.forEach((b) => found.add(b))
      visit(x.attributes.body.results)
    }
  }
  visit(roots)
  return found
}
