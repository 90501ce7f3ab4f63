/**
 * Dimensions. A dim is a number or a polynomial in named symbols with integer coefficients, written canonically as a
 * string: 'T0', '3*T1', '2*C1*T1+T0'. Equal strings are equal dims, so shapes compare without solving anything.
 */
export type Dim = number | string
/** Dims from the outermost in; [] is a scalar. */
export type Shape = readonly Dim[]

/** Values of the symbols in one run. */
export type Bindings = ReadonlyMap<string, number>

/** Shapes that do not fit each other: a mistake of whoever builds the graph, found while it is built. */
export class ShapeError extends Error {
  override name = 'ShapeError'
}

/** Monomial ('C1*T1', '' for the constant) to coefficient. */
type Polynomial = ReadonlyMap<string, number>

const parsed = new Map<string, Polynomial>()

function parse(dim: Dim): Polynomial {
  if (typeof dim === 'number') return new Map([['', dim]])
  const known = parsed.get(dim)
  if (known) return known
  const terms = new Map<string, number>()
  for (const term of dim.split('+')) {
    const factors = term.split('*')
    const coefficient = /^-?\d+$/.test(factors[0]!) ? Number(factors.shift()) : 1
    terms.set(factors.sort().join('*'), coefficient)
  }
  parsed.set(dim, terms)
  return terms
}

function canonical(terms: Map<string, number>): Dim {
  const kept = [...terms].filter(([, c]) => c !== 0).sort(([a], [b]) => (a < b ? -1 : 1))
  if (kept.length === 0) return 0
  if (kept.length === 1 && kept[0]![0] === '') return kept[0]![1]
  return kept.map(([m, c]) => (m === '' ? `${c}` : c === 1 ? m : `${c}*${m}`)).join('+')
}

/** a + b, canonical: symbolic whenever a symbol remains. */
export function addDims(a: Dim, b: Dim): Dim {
  const terms = new Map(parse(a))
  for (const [m, c] of parse(b)) terms.set(m, (terms.get(m) ?? 0) + c)
  return canonical(terms)
}

/** a · b, canonical and multiplied out: 2 · (T0 + T1) is '2*T0+2*T1'. */
export function mulDims(a: Dim, b: Dim): Dim {
  const terms = new Map<string, number>()
  for (const [m, c] of parse(a)) {
    for (const [n, d] of parse(b)) {
      const monomial = [...m.split('*'), ...n.split('*')].filter(Boolean).sort().join('*')
      terms.set(monomial, (terms.get(monomial) ?? 0) + c * d)
    }
  }
  return canonical(terms)
}

/** Number of elements, symbolic where a dim is; 1 for a scalar. */
export const size = (shape: Shape): Dim => shape.reduce(mulDims, 1)

/** Equal as polynomials, so whatever the symbols are bound to; an unequal pair may still agree in one run. */
export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i])

/** The value of a dim; throws ShapeError when a symbol is not bound. */
export function evaluate(dim: Dim, bindings: Bindings): number {
  if (typeof dim === 'number') return dim
  let total = 0
  for (const [monomial, coefficient] of parse(dim)) {
    let product = coefficient
    for (const symbol of monomial.split('*').filter(Boolean)) {
      const value = bindings.get(symbol)
      if (value === undefined) throw new ShapeError(`dim ${dim}: symbol ${symbol} is not bound`)
      product *= value
    }
    total += product
  }
  return total
}

/** Numpy broadcasting over symbolic shapes. Two different dims fit only when one of them is 1. */
export function broadcast(a: Shape, b: Shape, what: string): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1
    const y = b[b.length - rank + i] ?? 1
    if (x === y || y === 1) return x
    if (x === 1) return y
    throw new ShapeError(`${what}: [${a}] and [${b}] do not broadcast: ${x} against ${y}`)
  })
}
