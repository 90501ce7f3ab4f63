/** Tasks that a run declares: see schema/customTask.ts. */
import { RE2JS } from 're2js'
import type { CustomTask } from '#schema/customTask.ts'
import { place } from '../../data/rows.ts'
import { toPreference } from '../../data/preference.ts'
import { FormatError } from '../../error.ts'
import { countWords, strip } from '../python.ts'
import { template, within, type Columns } from '../template.ts'
import {
  argmax,
  codePoints,
  type ChoiceDocument,
  type ChoiceTask,
  type GenerationTask,
  type RollingTask,
  type Task,
} from './task.ts'

type Declared<K extends CustomTask['kind']> = Extract<CustomTask, { kind: K }>

/** `name` is for messages. */
export function customTask(name: string, declared: CustomTask): Task {
  switch (declared.kind) {
    case 'MULTIPLE_CHOICE':
      return multipleChoice(name, declared)
    case 'GENERATE':
      return generate(name, declared)
    case 'PERPLEXITY':
      return perplexity(name, declared)
    case 'PREFERENCE':
      return preference(name)
  }
}

/** What `make` makes of a row; what it throws says where. */
function ofRow<T>(name: string, value: unknown, row: number, make: (columns: Columns) => T): T {
  const where = `${name}: ${place(row)}`
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FormatError(`${where}: expected an object`)
  try {
    return within(() => make(value as Columns))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new FormatError(`${where}: ${error.message}`, { cause: error })
  }
}

function multipleChoice(name: string, declared: Declared<'MULTIPLE_CHOICE'>): ChoiceTask {
  const { delimiter, description } = declared
  const text = template('text', declared.text)
  const target = template('target', declared.target)
  const [only, ...others] = declared.choices
  const choicesOf =
    others.length === 0
      ? (columns: Columns) => listIn(columns, only!)
      : listOf(declared.choices.map((choice, i) => template(`choices.${i}`, choice)))
  return {
    kind: 'multiple_choice',
    delimiter,
    description,
    document: (value, row) =>
      ofRow(name, value, row, (columns): ChoiceDocument => {
        const choices = choicesOf(columns)
        return { text: text(columns), choices, gold: [indexOf(target(columns), choices)] }
      }),
  }
}

const listOf =
  (templates: readonly ((columns: Columns) => string)[]) =>
  (columns: Columns): string[] =>
    filled(templates.map((choice) => choice(columns)))

/** The texts at `a.b` of a row. */
function listIn(columns: Columns, path: string): string[] {
  const found = path
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, key)
          ? (value as Columns)[key]
          : undefined,
      columns,
    )
  if (!Array.isArray(found) || found.length < 2 || !found.every((c) => typeof c === 'string'))
    throw new FormatError(
      `choices: ${path} is ${JSON.stringify(found)?.slice(0, 80)}, expected a list of at least two texts`,
    )
  return filled(found as string[])
}

function filled(choices: string[]): string[] {
  const empty = choices.indexOf('')
  if (empty === -1) return choices
  throw new FormatError(`choices: choice ${empty} is empty, expected text`)
}

/** As the harness reads it: digits are an index, else it is a choice's text; failing both, its letter. */
function indexOf(target: string, choices: readonly string[]): number {
  const letter = /^[A-Za-z]$/.test(target) ? target.toUpperCase().charCodeAt(0) - 65 : -1
  const text = choices.indexOf(target)
  const index = /^[0-9]+$/.test(target) ? Number(target) : text === -1 ? letter : text
  if (index >= 0 && index < choices.length) return index
  throw new FormatError(
    `target is ${JSON.stringify(target.slice(0, 80))}, expected an index below ${choices.length}, a choice's text or its letter`,
  )
}

function generate(name: string, declared: Declared<'GENERATE'>): GenerationTask {
  const { delimiter, description, until, maxTokens, match, ignoreCase } = declared
  const text = template('text', declared.text)
  const target = template('target', declared.target)
  const found = match === null ? strip : extractor(match)
  const compared = (said: string) => (ignoreCase ? said.toLowerCase() : said)
  return {
    kind: 'generate_until',
    delimiter,
    description,
    until,
    maxTokens,
    document: (value, row) =>
      ofRow(name, value, row, (columns) => ({ text: text(columns), target: target(columns) })),
    judge(document, response) {
      const answer = found(response)
      const right = answer !== null && compared(answer) === compared(strip(document.target))
      return { scores: { exact_match: Number(right) } }
    },
  }
}

/** What a regex finds in a response, or null; in time that grows with the response. */
function extractor({
  regex,
  group,
  take,
}: NonNullable<Declared<'GENERATE'>['match']>): (response: string) => string | null {
  const compiled = RE2JS.compile(regex)
  const groups = compiled.groupCount()
  if (group !== null && group > groups)
    throw new FormatError(`match.group is ${group}, the regex has ${groups}`)
  return (response) => {
    const matcher = compiled.matcher(response)
    let found: string | null = null
    while (matcher.find()) {
      const parts = Array.from({ length: groups + 1 }, (_, g) => matcher.group(g) ?? '')
      const own = parts.slice(1).find((part) => part !== '') ?? ''
      found = strip(group !== null ? parts[group]! : groups === 0 ? parts[0]! : own)
      if (take === 'FIRST') break
    }
    return found
  }
}

function perplexity(name: string, declared: Declared<'PERPLEXITY'>): RollingTask {
  const text = template('text', declared.text)
  return {
    kind: 'loglikelihood_rolling',
    document: (value, row) =>
      ofRow(name, value, row, (columns) => {
        const made = text(columns)
        if (made === '') throw new FormatError('text is empty, expected something to score')
        return { text: made }
      }),
    judge(document, logLikelihood) {
      const bytes = Buffer.byteLength(document.text)
      return {
        scores: {
          bits_per_byte: logLikelihood,
          byte_perplexity: logLikelihood,
          word_perplexity: logLikelihood,
        },
        weights: {
          word_perplexity: countWords(document.text),
          byte_perplexity: bytes,
          bits_per_byte: bytes,
        },
      }
    },
  }
}

/** Rows of preference data: is the chosen answer likelier than the rejected one, in the model's chat format. */
function preference(name: string): ChoiceTask {
  return {
    kind: 'multiple_choice',
    delimiter: '',
    rendered: true,
    document(value, row, text) {
      try {
        const { prompt, chosen, rejected } = toPreference(value, row)
        return {
          text: text.render(prompt, { addGenerationPrompt: true }),
          choices: [chosen[0]!.content, rejected[0]!.content],
          gold: [0],
        }
      } catch (error) {
        if (!(error instanceof FormatError)) throw error
        throw new FormatError(`${name}: ${error.message}`, { cause: error })
      }
    },
    judge({ choices }, scores) {
      const likelier = ([chosen, rejected]: readonly number[]) => Number(chosen! > rejected!)
      const sums = scores.map((s) => s.logLikelihood)
      return {
        scores: {
          acc: likelier(sums),
          acc_norm: likelier(sums.map((sum, i) => sum / codePoints(choices[i]!))),
          acc_per_token: likelier(scores.map((s) => s.logLikelihood / s.tokens.length)),
        },
        picked: argmax(sums),
      }
    },
  }
}
