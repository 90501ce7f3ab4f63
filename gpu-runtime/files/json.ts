/** JSON files of a model directory, and what JSON.parse hides. */
import { readFile } from 'node:fs/promises'
import { FormatError } from '../error.ts'

/**
 * The parsed file, or undefined where it does not exist. Throws FormatError when it is not JSON.
 */
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

/**
 * The first key that occurs twice in the outermost object of a valid JSON text, or null. JSON.parse
 * keeps only the last one.
 */
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

const blank = /[ \t\r\n]*/y
// oxlint-disable-next-line no-control-regex -- JSON text may not hold control characters
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const scalar = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y

/**
 * Where an invalid JSON text goes wrong, as an offset into it; V8 says so in some of its messages
 * only.
 */
export function jsonErrorOffset(text: string): number {
  let at = 0
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.test(text)
    if (found) at = pattern.lastIndex
    return found
  }
  const closers: string[] = []
  for (let expectsValue = true; ;) {
    take(blank)
    if (expectsValue) {
      const opened = text[at]
      if (opened === '{' || opened === '[') {
        at++
        take(blank)
        closers.push(opened === '{' ? '}' : ']')
        expectsValue = text[at] !== closers.at(-1)
        if (expectsValue && opened === '{' && !takeKey()) return at
        continue
      }
      if (!take(string) && !take(scalar)) return at
      expectsValue = false
    } else if (closers.length > 0 && text[at] === closers.at(-1)) {
      at++
      closers.pop()
    } else if (closers.length > 0 && text[at] === ',') {
      at++
      expectsValue = true
      if (closers.at(-1) === '}' && !takeKey()) return at
    } else return at
  }
  function takeKey(): boolean {
    take(blank)
    if (!take(string)) return false
    take(blank)
    if (text[at] !== ':') return false
    at++
    return true
  }
}
