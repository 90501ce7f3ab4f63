/** A comparison: one that is stored, or a new one of two subjects. */
import { expectType, problemFields, type Client } from './client.ts'
import type { ComparisonRow } from './comparisonTable.ts'
import { Failure } from './exit.ts'
import { findSubject } from './subject.ts'

export type Comparison = {
  readonly id: string
  readonly tasks: readonly (ComparisonRow & {
    readonly leftOut: number
    readonly gained: number
    readonly lost: number
  })[]
}

/** What people say to name one. */
export type Named = {
  readonly comparison: string | undefined
  readonly baseline?: string
  readonly candidate?: string
  readonly task?: readonly string[]
}

const fields =
  'id tasks { task metric n leftOut baseline candidate difference low high level pValue gained lost goal test }'

export async function findComparison(
  client: Client,
  { comparison: id, baseline, candidate, task }: Named,
): Promise<Comparison> {
  if (id !== undefined) {
    if (baseline !== undefined || candidate !== undefined)
      throw new Failure('USAGE', 'expected a comparison, or --baseline and --candidate; got both')
    const { comparison } = await client.query<{ comparison: Comparison | null }>(
      `query ($id: ID!) { comparison(id: $id) { ${fields} } }`,
      { id },
    )
    if (comparison === null) throw new Failure('REFUSED', `there is no comparison ${id}`)
    return comparison
  }
  if (baseline === undefined || candidate === undefined)
    throw new Failure('USAGE', 'expected a comparison, or --baseline and --candidate')
  const [zero, tried] = await Promise.all(
    [baseline, candidate].map((name) => findSubject(client, name)),
  )
  const { compare } = await client.query<{ compare: { __typename: string } }>(
    `mutation ($input: CompareInput!) { compare(input: $input) { __typename ... on Comparison { ${fields} } ${problemFields} } }`,
    { input: { baseline: zero, candidate: tried, tasks: task } },
  )
  const { id: made, tasks } = expectType<Comparison & { __typename: string }>(
    compare as never,
    'Comparison',
  )
  return { id: made, tasks }
}
