/** Users' templates over rows: rendered with a limit on time and size, seeing the row and nothing else. */
import { createContext, Script } from 'node:vm'
import { Environment, Interpreter } from '@huggingface/jinja'
import { columnsOf, parseTemplate, templateProblem } from '#schema/template.ts'
import { FormatError } from '../error.ts'

export type Columns = Readonly<Record<string, unknown>>

/** What a template makes of a row. Throws FormatError as `within` does. */
export type Render = (row: Columns) => string

/** Characters of one text. */
const most = 1_000_000

/** A column's name stands for the column, as in the harness' YAML. Throws FormatError where it is no template. */
export function template(name: string, text: string): Render {
  const problem = templateProblem(text)
  if (problem !== null) throw new FormatError(`${name}: ${problem}`)
  const program = parseTemplate(text)
  const columns = columnsOf(program)
  return (row) => {
    const missing = columns.find((column) => !Object.hasOwn(row, column))
    // A question that looks at no column is a column's name misspelt.
    const constant = name === 'text' && columns.length === 0 && !Object.hasOwn(row, text)
    if (missing !== undefined || constant)
      throw new FormatError(
        `${name}: no column ${missing ?? text}; found ${Object.keys(row).join(', ') || 'none'}`,
      )
    const found = Object.hasOwn(row, text) ? plain(row[text]) : null
    const made = found ?? new Interpreter(environment(row)).run(program).value
    if (typeof made !== 'string') throw new FormatError(`${name}: expected text`)
    if (made.length > most)
      throw new FormatError(`${name}: ${made.length} characters, expected at most ${most}`)
    return made
  }
}

/** A value that is text without more ado. */
const plain = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null

const constants = { true: true, false: false, none: null, True: true, False: false, None: null }

function environment(row: Columns): Environment {
  const made = new Environment()
  // What each has by itself, `namespace` for one.
  made.variables.clear()
  for (const [name, value] of Object.entries({ ...constants, ...row })) made.set(name, value)
  return made
}

/** For one row. Thousands of times what it takes. */
const milliseconds = 2000

const script = new Script('work()')

/**
 * `work`, ended by force where it takes too long: V8 stops whatever runs below the script. Throws
 * FormatError then, and where a template refuses the row.
 */
export function within<T>(work: () => T, tries = 2): T {
  try {
    return script.runInContext(createContext({ work }), { timeout: milliseconds }) as T
  } catch (error) {
    if (error instanceof FormatError) throw error
    const late = (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    // The clock runs on while a process is stopped.
    if (late && tries > 1) return within(work, tries - 1)
    const message = late
      ? `rendering took more than ${milliseconds / 1000} s`
      : (error as Error).message
    throw new FormatError(message, { cause: error })
  }
}
