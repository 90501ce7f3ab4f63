/** Chat templates: Jinja, with the variables and functions that transformers gives them. */
import { Template } from '@huggingface/jinja'
import { FormatError } from '../error.ts'

export type Message = { readonly role: string; readonly content: string }

export type Render = (
  messages: readonly Message[],
  options: { addGenerationPrompt: boolean },
) => string

/**
 * What `strftime_now` sees unless told otherwise. transformers takes today, so that the same rows
 * train on other tokens tomorrow; here the same spec gives the same tokens. It is the date that
 * Llama 3's own template falls back to.
 */
const llamaDate = new Date(Date.UTC(2024, 6, 26))

/**
 * The library's own strftime_now follows clock, zone and locale, and cannot be passed in; a
 * template may set it, though.
 */
const redefinition = '{% set strftime_now = strftime_fixed %}\n'

/**
 * Compile a template: one string, or a list of { name, template } of which "default" is taken. Null
 * where there is none. Throws FormatError at once when it does not parse, and from the result when
 * it raises.
 */
export function chatTemplate(
  source: unknown,
  {
    where,
    variables,
    today = llamaDate,
  }: { where: string; variables: Readonly<Record<string, unknown>>; today?: Date },
): Render | null {
  const text = named(source, where)
  if (text === null) return null
  let template: Template
  try {
    template = new Template(`${redefinition}${text}`)
  } catch (cause) {
    throw new FormatError(
      `${where}: the chat template does not parse: ${(cause as Error).message}`,
      { cause },
    )
  }
  return (messages, { addGenerationPrompt }) => {
    try {
      return template.render({
        tools: null,
        documents: null,
        ...variables,
        messages,
        add_generation_prompt: addGenerationPrompt,
        strftime_fixed: (format: string) => strftime(today, format),
      })
    } catch (cause) {
      const roles = messages.map((message) => message.role).join(', ')
      throw new FormatError(
        `${where}: the chat template refuses messages of ${roles}: ${(cause as Error).message}`,
        { cause },
      )
    }
  }
}

function named(source: unknown, where: string): string | null {
  if (source == null) return null
  if (typeof source === 'string') return source
  const entries = Array.isArray(source) ? (source as { name?: unknown; template?: unknown }[]) : []
  const found = entries.find((entry) => entry?.name === 'default')?.template
  if (typeof found === 'string') return found
  throw new FormatError(
    `${where}: chat_template: expected a string, or a list of { name, template } with the name "default"`,
  )
}

const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/**
 * Python's strftime in UTC and English, for the directives that chat templates use; others stay as
 * they are.
 */
export function strftime(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const month = months[date.getUTCMonth()]!
  const day = days[date.getUTCDay()]!
  const directives: Record<string, string> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(date.getUTCDate()),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getUTCHours()),
    I: two(date.getUTCHours() % 12 || 12),
    p: date.getUTCHours() < 12 ? 'AM' : 'PM',
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    '%': '%',
  }
  return format.replace(/%(.)/g, (whole, letter: string) => directives[letter] ?? whole)
}
