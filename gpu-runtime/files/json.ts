/** JSON files of a model directory, and what JSON.parse hides. */
import { readFile } from 'node:fs/promises'
import { FormatError } from '../error.ts'

/** The parsed file, or undefined where it does not exist. Throws FormatError when it is not JSON. */
export async function readJsonIfPresent(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FormatError(`${path}: not JSON: ${(cause as Error).message}`, { cause })
  }
}

/** The first key that occurs twice in the outermost object of a valid JSON text, or null. JSON.parse keeps only the last one. */
export function duplicateKey(text: string): string | null {
  const keys = new Set<string>()
  let depth = 0
  for (const { 0: token } of text.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (depth === 1 && token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return null
}
