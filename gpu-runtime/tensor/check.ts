/** Is a program legal? Run in tests after every pass: a pass that breaks the representation is found where it does. */
import { sameShape } from './dim.ts'
import { is, node, order, type Op, type Tensor } from './tensor.ts'

/** Throws an Error naming the node that is not as its rule says, or that stands for a value nobody gives. */
export function check(roots: readonly Tensor[], given: ReadonlySet<Tensor> = new Set()): void {
  for (const x of order(roots, given)) {
    if (given.has(x)) continue
    if (is(x, 'parameter'))
      throw new Error(`check: a parameter [${x.shape}] outside the body that binds it`)
    const again = node(x.op as Op, x.inputs, x.attributes as never)
    if (!sameShape(again.shape, x.shape) || again.dtype !== x.dtype) {
      throw new Error(
        `check: ${x.op} is ${x.dtype}[${x.shape}], its rule says ${again.dtype}[${again.shape}]`,
      )
    }
    if (is(x, 'result') && is(x.inputs[0]!, 'call')) {
      const { label, results } = x.inputs[0].attributes.body
      if (x.attributes.index >= results.length)
        throw new Error(
          `check: result ${x.attributes.index} of ${label}, which has ${results.length}`,
        )
    }
    if (is(x, 'call')) check(x.attributes.body.results, new Set(x.attributes.body.bound))
  }
}
