/** Who is meant: an adapter or a model, by id or by name. */
import type { Client } from './client.ts'
import { Failure } from './exit.ts'

export type SubjectRef = { readonly adapterId: string } | { readonly modelId: string }

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** `Adapter:<uuid>`, `Model:<uuid>`, or the name of exactly one of them. Throws Failure else. */
export async function findSubject(client: Client, given: string): Promise<SubjectRef> {
  const [kind, id] = given.split(':')
  if (kind === 'Adapter' && uuid.test(id ?? '')) return { adapterId: given }
  if (kind === 'Model' && uuid.test(id ?? '')) return { modelId: given }
  const found = await named(client, given)
  if (found.length === 1) return found[0]!
  throw new Failure(
    'REFUSED',
    found.length === 0
      ? `expected the id or the name of an adapter or a model, got "${given}"`
      : `"${given}" is the name of ${found.length}: expected an id, ${found.map((ref) => Object.values(ref)[0]).join(' or ')}`,
  )
}

type Page = {
  readonly nodes: readonly { readonly id: string; readonly name: string }[]
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
}

async function named(client: Client, name: string): Promise<SubjectRef[]> {
  const found: SubjectRef[] = []
  for (const kind of ['adapters', 'models'] as const) {
    let after: string | null = null
    do {
      const answer: Record<string, Page> = await client.query(
        `query ($after: String) { ${kind}(first: 200, after: $after) { nodes { id name } pageInfo { hasNextPage endCursor } } }`,
        { after },
      )
      const { nodes, pageInfo } = answer[kind]!
      for (const { id, name: own } of nodes)
        if (own === name) found.push(kind === 'adapters' ? { adapterId: id } : { modelId: id })
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null
    } while (after !== null)
  }
  return found
}
