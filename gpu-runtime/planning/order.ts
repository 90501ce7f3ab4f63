/** The order in which onnxruntime runs the nodes of a graph. */
import type { Graph, Node } from '../onnx/proto.ts'

/** Values that a node reads, those that the bodies of its attributes take from outside included. */
export function reads(node: Node): string[] {
  const bodies = (node.attribute ?? []).flatMap((a) => (a.type === 5 ? [a.g] : []))
  return [...node.input, ...bodies.flatMap(captured)].filter((name) => name !== '')
}

function captured({ node, input, initializer = [] }: Graph): string[] {
  const own = new Set([
    ...input.map(({ name }) => name),
    ...initializer.map(({ name }) => name),
    ...node.flatMap(({ output }) => output),
  ])
  return node.flatMap(reads).filter((name) => !own.has(name))
}

/**
 * Depth first, backwards from the nodes that feed no other; of those, and of the producers of a node, the one that stands last in
 * the file runs first, with all it needs (onnxruntime's GraphViewer).
 */
export function executionOrder(nodes: readonly Node[]): Node[] {
  const producer = new Map<string, number>()
  nodes.forEach(({ output }, i) => output.forEach((name) => producer.set(name, i)))
  const needs = nodes.map((node) => [
    ...new Set(reads(node).flatMap((name) => producer.get(name) ?? [])),
  ])
  const feeding = new Set(needs.flat())
  const order: Node[] = []
  const seen = new Set<number>()
  const stack = nodes.flatMap((_, i) => (feeding.has(i) ? [] : [{ at: i, leave: false }]))
  while (stack.length > 0) {
    const { at, leave } = stack.pop()!
    if (leave) {
      order.push(nodes[at]!)
      continue
    }
    if (seen.has(at)) continue
    seen.add(at)
    stack.push({ at, leave: true })
    for (const from of needs[at]!.toSorted((a, b) => a - b))
      if (!seen.has(from)) stack.push({ at: from, leave: false })
  }
  return order
}
