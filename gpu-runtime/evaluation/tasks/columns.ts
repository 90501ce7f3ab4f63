/** Reading the columns of a task's rows. */
import { FormatError } from '../../error.ts'
import { place } from '../../data/rows.ts'
import type { Message } from '../../text/chatTemplate.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * The columns of row `row` of `task`; every reader throws FormatError with the row, the column, and
 * what was expected.
 */
export function columns(value: unknown, row: number, task: string) {
  const fail = (problem: string) => new FormatError(`${task}: ${place(row)}: ${problem}`)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fail('expected an object')
  const json = value as Json
  const get = (name: string): unknown => {
    if (json[name] === undefined)
      throw fail(`no column ${name}; found ${Object.keys(json).join(', ') || 'none'}`)
    return json[name]
  }
  return {
    fail,
    text(name: string, { orEmpty = false } = {}): string {
      const found = get(name)
      if (typeof found !== 'string' || (found === '' && !orEmpty))
        throw fail(`${name} is ${JSON.stringify(found)}, expected text`)
      return found
    },
    has: (name: string): boolean => json[name] !== undefined,
    texts: (name: string): string[] => texts(get(name), name, fail),
    /** A column { KEY: number } that has all of `keys`. */
    numbers(name: string, keys: readonly string[]): number[] {
      const found = (get(name) ?? {}) as Json
      return keys.map((key) => {
        const number = Object.hasOwn(found, key) ? found[key] : undefined
        if (typeof number !== 'number' || !Number.isFinite(number))
          throw fail(`${name}.${key} is ${JSON.stringify(number)}, expected a number`)
        return number
      })
    },
    /** A column of settings, each with a default. */
    options(name: string) {
      const found = (get(name) ?? {}) as Json
      const option = <T>(key: string, otherwise: T, kind: string): T => {
        const value = found[key] ?? otherwise
        if (typeof value === typeof otherwise) return value as T
        throw fail(`${name}.${key} is ${JSON.stringify(value).slice(0, 80)}, expected ${kind}`)
      }
      return {
        text: (key: string, otherwise: string) => option(key, otherwise, 'text'),
        flag: (key: string, otherwise: boolean) => option(key, otherwise, 'true or false'),
      }
    },
    /** Choices with labels, 1 for the true ones, of which the first is one. */
    judged(name: string): { choices: string[]; labels: number[] } {
      const found = get(name) as Json | null
      const choices = texts(found?.choices, `${name}.choices`, fail)
      const labels = found?.labels
      if (
        !Array.isArray(labels) ||
        labels.length !== choices.length ||
        !labels.every((label) => label === 0 || label === 1) ||
        labels[0] !== 1
      )
        throw fail(
          `${name}.labels is ${JSON.stringify(labels)}, expected a 0 or 1 for each of ${choices.length} choices, and a 1 first`,
        )
      return { choices, labels }
    },
    /**
     * A column { text: […], label: […] } and the `answerKey` that is one of its labels, as the ARC
     * family has them.
     */
    labelled(name: string): { choices: string[]; gold: number } {
      const found = get(name) as Json | null
      const choices = texts(found?.text, `${name}.text`, fail)
      const labels = texts(found?.label, `${name}.label`, fail)
      if (labels.length !== choices.length)
        throw fail(`${name} has ${choices.length} texts and ${labels.length} labels`)
      const key = String(get('answerKey')).trim()
      const gold = labels.indexOf(key)
      if (gold === -1)
        throw fail(`answerKey is ${JSON.stringify(key)}, expected one of ${labels.join(', ')}`)
      return { choices, gold }
    },
    /** At least one item, each as `isItem` has it. */
    list<T>(name: string, isItem: (item: unknown) => item is T, kind: string): T[] {
      const found = get(name)
      if (!Array.isArray(found) || found.length === 0 || !found.every(isItem))
        throw fail(`${name} is ${JSON.stringify(found)?.slice(0, 80)}, expected a list ${kind}`)
      return found
    },
    messages(name: string): Message[] {
      const found = get(name)
      if (!Array.isArray(found) || found.length === 0 || !found.every(isMessage))
        throw fail(
          `${name} is ${JSON.stringify(found).slice(0, 80)}, expected a list of { role, content }`,
        )
      return found
    },
    /** An index into `choices`; as text in some copies. */
    index(name: string, choices: readonly string[]): number {
      const found = get(name)
      const index = typeof found === 'string' && /^\d+$/.test(found) ? Number(found) : found
      if (!isIndex(index, choices))
        throw fail(`${name} is ${JSON.stringify(found)}, expected an index below ${choices.length}`)
      return index
    },
    /** One or several of them. */
    indices(name: string, choices: readonly string[]): number[] {
      const found = get(name)
      if (!Array.isArray(found) || found.length === 0 || !found.every((i) => isIndex(i, choices)))
        throw fail(
          `${name} is ${JSON.stringify(found)}, expected a list of indices below ${choices.length}`,
        )
      return found as number[]
    },
  }
}

const isIndex = (value: unknown, choices: readonly string[]): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < choices.length

const isMessage = (value: unknown): value is Message => {
  const { role, content } = (value ?? {}) as Partial<Record<keyof Message, unknown>>
  return typeof role === 'string' && typeof content === 'string'
}

function texts(value: unknown, name: string, fail: (problem: string) => Error): string[] {
  if (
    !Array.isArray(value) ||
    value.length < 2 ||
    value.some((item) => typeof item !== 'string' || item === '')
  )
    throw fail(
      `${name} is ${JSON.stringify(value)?.slice(0, 80)}, expected a list of at least two texts`,
    )
  return value as string[]
}
