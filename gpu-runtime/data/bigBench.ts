/** BIG-bench tasks (Srivastava et al. 2022) as their JSON files have them: one object with fields of the task and `examples`. */
import { FormatError } from '../error.ts'
import { maxRowBytes, type Row } from './place.ts'
import type { Source } from './source.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * Each example as a row, the first of those that are equal in all their JSON, with
 *
 *     task      the task's own fields: name, task_prefix, choice_prefix, metrics, …
 *     choices   the keys of target_scores as the file orders them
 *
 * which an object does not tell: JavaScript puts keys such as "1984" before all others. Null where
 * the file is not one JSON object or has no `examples`: it may be JSONL. Throws FormatError where
 * an example is not an object.
 */
export async function readTask({ path, chunks }: Source): Promise<Row[] | null> {
  const text = await textOf(chunks())
  const task = text === null ? null : parseOrdered(text)
  if (task === null || !Array.isArray(task['examples'])) return null
  const { examples, ...fields } = task
  const seen = new Set<string>()
  const rows: Row[] = []
  for (const [i, example] of (examples as unknown[]).entries()) {
    if (typeof example !== 'object' || example === null || Array.isArray(example))
      throw new FormatError(
        `${path}: example ${i} (counted from 0) is ${JSON.stringify(example).slice(0, 80)}, expected an object`,
      )
    const identity = JSON.stringify(example)
    if (seen.has(identity)) continue
    seen.add(identity)
    const scores = (example as Json)['target_scores']
    const choices = Object.keys(scores ?? {}).map(unmarked)
    const value = { ...(restored(example) as Json), choices, task: restored(fields) }
    rows.push({ row: rows.length, value })
  }
  return rows
}

/** Null where it is longer than can be held, which no task is. */
async function textOf(chunks: AsyncIterable<Buffer>): Promise<string | null> {
  const parts: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    parts.push(chunk)
    size += chunk.length
    if (size > maxRowBytes / 4) return null
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts))
  } catch {
    return null // whoever reads it as JSONL says where
  }
}

/** Before keys that are whole numbers, so that objects keep them where they are. */
const mark = '\u0000'
const unmarked = (key: string) => (key.startsWith(mark) ? key.slice(mark.length) : key)

function parseOrdered(text: string): Json | null {
  const marked = text.replaceAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?/g, (token) =>
    /^"\d+"\s*:$/.test(token) ? `"\\u0000${token.slice(1)}` : token,
  )
  try {
    const value: unknown = JSON.parse(marked)
    return typeof value === 'object' && value !== null ? (value as Json) : null
  } catch {
    return null
  }
}

function restored(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(restored)
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [unmarked(key), restored(inner)]),
  )
}
