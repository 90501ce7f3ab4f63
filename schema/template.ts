/** Templates that users write: the part of Jinja that makes a text of a row, and nothing that could build up more and more. */
import { parse, tokenize } from '@huggingface/jinja'

export type Program = ReturnType<typeof parse>

/** Parsed with the harness' settings: line breaks stay as they are, at the end too. Throws where it is no template. */
export const parseTemplate = (text: string): Program =>
  // The library drops one line break at the end.
  parse(tokenize(text.endsWith('\n') ? `${text}\n` : text))

const allowed: ReadonlySet<string> = new Set([
  'Program',
  'Comment',
  'If',
  'For',
  'Break',
  'Continue',
  'MemberExpression',
  'CallExpression',
  'KeywordArgumentExpression',
  'Identifier',
  'IntegerLiteral',
  'FloatLiteral',
  'StringLiteral',
  'ArrayLiteral',
  'TupleLiteral',
  'ObjectLiteral',
  'BinaryExpression',
  'FilterExpression',
  'SelectExpression',
  'TestExpression',
  'UnaryExpression',
  'SliceExpression',
  'Ternary',
])

/** Filters and methods whose results are hardly longer than what they are given. */
const functions: ReadonlySet<string> = new Set([
  ...['trim', 'strip', 'lstrip', 'rstrip', 'upper', 'lower', 'capitalize', 'title'],
  ...['startswith', 'endswith', 'split', 'join', 'replace', 'string', 'int', 'float', 'abs'],
  ...['default', 'length', 'count', 'first', 'last', 'list', 'reverse', 'sort', 'unique'],
  ...['map', 'select', 'reject', 'selectattr', 'rejectattr', 'items', 'keys', 'values', 'get'],
])

/** What is wrong with a template, or null. */
export function templateProblem(text: string): string | null {
  let program: Node
  try {
    program = parseTemplate(text) as unknown as Node
  } catch (error) {
    return `expected a Jinja template: ${(error as Error).message}`
  }
  const wrong = nodesIn(program)
    .map(problemOf)
    .find((found) => found !== null)
  return wrong === undefined ? null : `expected a template over the row's columns, got ${wrong}`
}

type Node = { readonly type: string; readonly [part: string]: unknown }

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

/** What is below a node, in its order. */
function partsOf(value: unknown): unknown[] {
  if (value instanceof Map) return [...value].flat()
  if (Array.isArray(value)) return value
  if (!isNode(value)) return []
  const { type: _, operator: __, operation: ___, ...parts } = value
  return Object.values(parts)
}

const nodesIn = (value: unknown): Node[] => [
  ...(isNode(value) ? [value] : []),
  ...partsOf(value).flatMap(nodesIn),
]

function problemOf(node: Node): string | null {
  const { type } = node
  if (!allowed.has(type)) return type
  const called = calledBy(node)
  if (called === null) return null
  const { name, args } = called
  if (name === null || !functions.has(name)) return `${name ?? 'a call'}(…)`
  if (name !== 'replace') return null
  const [from, to, ...others] = args.map(({ type: kind, value }) =>
    kind === 'StringLiteral' ? (value as string) : null,
  )
  const shrinks = from != null && to != null && from !== '' && to.length <= from.length
  return shrinks && others.length === 0 ? null : 'replace(…) of other than a text by a shorter one'
}

/** The filter or method that a node applies; a name of null where it is none. */
function calledBy(node: Node): { name: string | null; args: readonly Node[] } | null {
  if (node.type === 'FilterExpression') {
    const filter = node['filter'] as Node
    const call = filter.type === 'CallExpression' ? filter : { callee: filter, args: [] }
    const { value } = call['callee'] as Node
    return { name: value as string, args: call['args'] as Node[] }
  }
  if (node.type !== 'CallExpression') return null
  const callee = node['callee'] as Node
  const property = (callee['property'] ?? callee) as Node
  // As a filter's it has been looked at; a function of its own name is none of ours.
  const name = property.type === 'Identifier' ? (property['value'] as string) : null
  return { name: callee['computed'] === true ? null : name, args: node['args'] as Node[] }
}

/**
 * Names that a template takes for columns: all but a loop's own, and those that are only asked whether
 * they are there.
 */
export function columnsOf(program: Program): string[] {
  const found = new Set<string>()
  const visit = (node: unknown, bound: ReadonlySet<string>): void => {
    if (!isNode(node)) return partsOf(node).forEach((part) => visit(part, bound))
    switch (node.type) {
      case 'Identifier': {
        const name = node['value'] as string
        if (!bound.has(name)) found.add(name)
        return
      }
      case 'MemberExpression':
        visit(node['object'], bound)
        return node['computed'] === true ? visit(node['property'], bound) : undefined
      case 'KeywordArgumentExpression':
        return visit(node['value'], bound)
      case 'CallExpression': {
        const callee = node['callee'] as Node
        if (callee.type !== 'Identifier') visit(callee, bound)
        return visit(node['args'], bound)
      }
      case 'FilterExpression': {
        const filter = node['filter'] as Node
        if (calledBy(node)!.name !== 'default') visit(node['operand'], bound)
        return filter.type === 'CallExpression' ? visit(filter, bound) : undefined
      }
      case 'TestExpression': {
        const test = (node['test'] as Node)['value'] as string
        return /^(un)?defined$/.test(test) ? undefined : visit(node['operand'], bound)
      }
      case 'For': {
        visit(node['iterable'], bound)
        const own = nodesIn(node['loopvar']).map(({ value }) => value as string)
        const inner = new Set([...bound, ...own, 'loop'])
        visit(node['body'], inner)
        // `for x in xs if x`: the condition is beside the list.
        return visit(node['defaultBlock'], bound)
      }
      default:
        return partsOf(node).forEach((part) => visit(part, bound))
    }
  }
  visit(program, constants)
  return [...found]
}

/** Names that mean the same in every template. */
export const constants: ReadonlySet<string> = new Set([
  'true',
  'false',
  'none',
  'True',
  'False',
  'None',
])
