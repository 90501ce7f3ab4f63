/**
 * Preference rows: one prompt, a chosen and a rejected answer, whichever of the usual column
 * layouts they come in.
 */
import { FormatError } from '../error.ts'
import type { Message } from '../text/chatTemplate.ts'
import { place } from './rows.ts'

export type { Message }

/**
 * `prompt` + `chosen` and `prompt` + `rejected` are the two conversations; both answers are one
 * assistant message.
 */
export type Preference = {
  /** 0-based. */
  readonly row: number
  readonly prompt: readonly Message[]
  readonly chosen: readonly Message[]
  readonly rejected: readonly Message[]
  /** The columns as the row has them, for dialects that read them another way. Null: no prompt column. */
  readonly given: {
    readonly prompt: string | readonly Message[] | null
    readonly chosen: string | readonly Message[]
    readonly rejected: string | readonly Message[]
  }
}

type Columns = Readonly<Record<string, unknown>>

/**
 * A parsed row as a preference. The prompt is the longest common message prefix of `chosen` and
 * `rejected`; a `prompt` column adds only what they lack, so that a prompt given twice is trained
 * once:
 *
 *     prompt          chosen            rejected          → prompt, chosen, rejected
 *     —               [u1 a1 u2 x]      [u1 a1 u2 y]      → [u1 a1 u2], [x], [y]
 *     "u2"            [u1 a1 u2 x]      [u1 a1 u2 y]      → [u1 a1 u2], [x], [y]    repeated: ignored
 *     [s u1]          [u1 x]            [u1 y]            → [s u1], [x], [y]        overlaps: only s is new
 *     "u1" or [s u1]  [x] or "x"        [y] or "y"        → [u1] or [s u1], [x], [y]
 *     "u1"            "u1\nx"           "u1\ny"           → [u1], [x], [y]          repeated as text
 *
 * Throws FormatError with the row and the reason: columns missing or of another type, prompts that
 * differ, no prompt, an empty answer, the same answer twice, an answer that is not the assistant's.
 */
export function toPreference(value: unknown, row: number): Preference {
  const fail = (reason: string) => new FormatError(`${place(row)}: ${reason}`)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fail(`expected an object with columns chosen and rejected, got ${kind(value)}`)
  const columns = value as Columns
  if (columns.chosen == null || columns.rejected == null)
    throw fail(
      `expected columns chosen and rejected (and perhaps prompt), found ${Object.keys(columns).join(', ') || 'none'}`,
    )

  const given = columns.prompt == null ? [] : messages(columns.prompt, 'prompt', 'user', fail)
  const [chosenText, rejectedText] = withoutPrompt(columns)
  const chosen = messages(chosenText, 'chosen', 'assistant', fail)
  const rejected = messages(rejectedText, 'rejected', 'assistant', fail)

  for (const [name, list] of [
    ['chosen', chosen],
    ['rejected', rejected],
  ] as const) {
    const last = list.at(-1)
    if (last === undefined) throw fail(`${name} has no messages`)
    if (last.role !== 'assistant')
      throw fail(`the last message of ${name} is from "${last.role}", expected "assistant"`)
    if (last.content.trim() === '') throw fail(`the answer of ${name} is empty`)
  }
  const shared = commonPrefix(chosen, rejected)
  if (chosen.length !== shared + 1 || rejected.length !== shared + 1)
    throw fail(
      `the prompts differ: chosen (${chosen.length} messages) and rejected (${rejected.length}) part at message ${shared + 1}, expected only the last to differ`,
    )
  if (same(chosen[shared]!, rejected[shared]!)) throw fail('chosen and rejected are identical')
  const prompt = joined(given, chosen.slice(0, shared))
  if (prompt.length === 0)
    throw fail('no prompt: neither a prompt column nor messages before the answers')
  return {
    row,
    prompt,
    chosen: [chosen[shared]!],
    rejected: [rejected[shared]!],
    given: {
      prompt: typeof columns.prompt === 'string' ? columns.prompt : given.length > 0 ? given : null,
      chosen: typeof columns.chosen === 'string' ? columns.chosen : chosen,
      rejected: typeof columns.rejected === 'string' ? columns.rejected : rejected,
    },
  }
}

/**
 * The prompt column followed by what the messages have beyond it. Where they have no message in
 * common, the messages win.
 */
function joined(given: readonly Message[], own: readonly Message[]): readonly Message[] {
  if (own.length === 0) return given
  const contains = own.some((_, at) =>
    given.every((message, i) => at + i < own.length && same(message, own[at + i]!)),
  )
  if (contains) return own
  for (let overlap = Math.min(given.length, own.length); overlap > 0; overlap--)
    if (given.slice(-overlap).every((message, i) => same(message, own[i]!)))
      return [...given, ...own.slice(overlap)]
  const system = given.every((message) => message.role === 'system') && own[0]!.role !== 'system'
  return system ? [...given, ...own] : own
}

/** Answers as text that both begin with the prompt as text and a line break: the rest of them. */
function withoutPrompt({ prompt, chosen, rejected }: Columns): [unknown, unknown] {
  if (typeof prompt !== 'string' || typeof chosen !== 'string' || typeof rejected !== 'string')
    return [chosen, rejected]
  const repeats = (text: string) =>
    prompt !== '' && text.startsWith(prompt) && /^\s*\n/.test(text.slice(prompt.length))
  if (!repeats(chosen) || !repeats(rejected)) return [chosen, rejected]
  const rest = (text: string) => text.slice(prompt.length).replace(/^\s*\n/, '')
  return [rest(chosen), rest(rejected)]
}

function messages(
  value: unknown,
  column: string,
  role: string,
  fail: (reason: string) => Error,
): Message[] {
  if (typeof value === 'string')
    return column === 'prompt' && value.trim() === '' ? [] : [{ role, content: value }]
  if (!Array.isArray(value))
    throw fail(`${column} is ${kind(value)}, expected text or a list of { role, content }`)
  return value.map((message: unknown, i) => {
    const { role, content } = (message ?? {}) as Partial<Record<'role' | 'content', unknown>>
    if (typeof role !== 'string' || role === '' || typeof content !== 'string')
      throw fail(
        `message ${i + 1} of ${column} has role: ${kind(role)} and content: ${kind(content)}, expected text in both`,
      )
    return { role, content }
  })
}

/** At most all but the last message: an answer is never part of the prompt. */
function commonPrefix(a: readonly Message[], b: readonly Message[]): number {
  const limit = Math.min(a.length, b.length) - 1
  let shared = 0
  while (shared < limit && same(a[shared]!, b[shared]!)) shared++
  return shared
}

const same = (a: Message, b: Message) => a.role === b.role && a.content === b.content

function kind(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  const names: Record<string, string> = {
    undefined: 'missing',
    string: 'text',
    object: 'an object',
  }
  return names[typeof value] ?? `a ${typeof value}`
}
