/** A program as text, one node a line, bodies of calls indented: for people, and for tests that pin a graph's form. */
import { is, order, type Tensor } from './tensor.ts'

const details = ({ attributes }: Tensor): string =>
  Object.entries(attributes)
    .filter(([name]) => name !== 'body' && name !== 'dtype')
    .map(
      ([name, v]) =>
        `${name}=${Array.isArray(v) ? `[${v.length > 8 ? `${v.slice(0, 8)},…` : v}]` : v}`,
    )
    .join(' ')

/** `%3 = matmul %1 %2 transB=true : float32[N,64]` */
export function print(roots: readonly Tensor[], indent = ''): string {
  const names = new Map<Tensor, string>()
  const lines: string[] = []
  for (const x of order(roots)) {
    names.set(x, `%${names.size}`)
    const inputs = x.inputs.map((i) => names.get(i))
    const type = is(x, 'call') ? '' : ` : ${x.dtype}[${x.shape}]`
    lines.push(
      `${indent}${[names.get(x), '=', x.op, ...inputs, details(x)].filter(Boolean).join(' ')}${type}`,
    )
    if (is(x, 'call')) {
      const { label, role, results } = x.attributes.body
      lines.push(`${indent}  ${role} ${label}:`, print(results, `${indent}    `))
    }
  }
  lines.push(`${indent}return ${roots.map((r) => names.get(r)).join(' ')}`)
  return lines.join('\n')
}
