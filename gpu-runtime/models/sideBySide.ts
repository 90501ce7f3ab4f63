/**
 * A frozen checkpoint whose linears of one input are one product, their weights one under the other. Few tokens take as long to
 * start on a product as to compute it; a graph whose optimizer does not put the weights together at opening pays for that in each run.
 */
import { concat, matmul, split, weight } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DecoderConfig } from './config.ts'
import { frozen, type Parts } from './decoder.ts'
import { modules, readingWith, width } from './linears.ts'

export function sideBySide(config: DecoderConfig): Parts {
  const widths = new Map(modules(config).map((module) => [module.name, width(module)]))
  /** Results by path, for each x. */
  const known = new WeakMap<Tensor, ReadonlyMap<string, Tensor>>()
  const together = (path: string, x: Tensor): ReadonlyMap<string, Tensor> => {
    const paths = readingWith(path)
    const outs = paths.map((p) => widths.get(p.slice(p.lastIndexOf('.') + 1))!)
    const weights = paths.map((p, i) => weight(`${p}.weight`, [outs[i]!, x.shape[1] as number]))
    const parts = split(matmul(x, concat(weights, 0), { transB: true }), 1, outs)
    return new Map(paths.map((p, i) => [p, parts[i]!]))
  }
  return {
    ...frozen,
    linear(path, x, out) {
      if (readingWith(path).some((p) => !widths.has(p.slice(p.lastIndexOf('.') + 1))))
        return frozen.linear(path, x, out)
      const results = known.get(x)?.has(path) ? known.get(x)! : together(path, x)
      known.set(x, results)
      return results.get(path)!
    },
  }
}
