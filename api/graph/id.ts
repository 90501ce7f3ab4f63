/**
 * Ids: `Run:0f3c...`, readable, unique across types. Where the type is known the bare uuid is taken too,
 * so that an id copied from a page's address or a log line works.
 */
import { NotFound } from '../problem.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The row's id, or null when this is no id of that type. */
export function uuidOf(typename: string, id: string): string | null {
  const bare = id.startsWith(`${typename}:`) ? id.slice(typename.length + 1) : id
  return uuid.test(bare) ? bare.toLowerCase() : null
}

/** The row's id; what cannot be one refers to nothing: NotFound. */
export function rowId(typename: string, id: string | number): string {
  const uuid = uuidOf(typename, String(id))
  if (uuid === null)
    throw new NotFound(`expected an id such as ${typename}:<uuid>, got ${JSON.stringify(id)}`)
  return uuid
}
