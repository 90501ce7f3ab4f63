/**
 * IFEval's verdicts as lm-evaluation-harness 0.4.13 gives them: strict on the response as it is, loose
 * on the best of eight variants of it.
 */
import { z } from 'zod'
import { FormatError } from '../../error.ts'
import type { Check, Instruction } from './instruction.ts'
import { instructions } from './instructions.ts'
import { strip } from '../python.ts'

/** One entry for each instruction of a prompt, in its order. */
export type Verdicts = { readonly strict: readonly boolean[]; readonly loose: readonly boolean[] }

/**
 * Did `response` follow the instructions? `kwargs` has one object for each of `instructionIds`;
 * arguments that are null, empty or 0 count as not given. Throws FormatError as `checks` does.
 */
export const verify = (
  instructionIds: readonly string[],
  kwargs: readonly unknown[],
  prompt: string,
  response: string,
): Verdicts => judge(checks(instructionIds, kwargs, prompt), response)

/**
 * The checks of a prompt, for any number of responses. Throws FormatError that names the row by its
 * prompt, the instruction and what was expected, where the id is unknown or its arguments are not
 * the ones it takes. (The reference draws missing arguments at random.)
 */
export function checks(
  instructionIds: readonly string[],
  kwargs: readonly unknown[],
  prompt: string,
): Check[] {
  const row = `ifeval: prompt ${JSON.stringify(prompt.length > 60 ? `${prompt.slice(0, 60)}…` : prompt)}`
  if (instructionIds.length !== kwargs.length)
    throw new FormatError(
      `${row}: kwargs has ${kwargs.length} entries, expected one for each of ${instructionIds.length} instructions`,
    )
  return instructionIds.map((id, i) => {
    const where = `${row}: instruction ${i + 1}, ${JSON.stringify(id)}`
    if (!Object.hasOwn(instructions, id))
      throw new FormatError(`${where}: expected one of ${Object.keys(instructions).join(', ')}`)
    const found: Instruction = instructions[id as keyof typeof instructions]
    try {
      return found.build(given(kwargs[i], where))
    } catch (error) {
      if (!(error instanceof z.ZodError)) throw error
      const problems = error.issues.map(({ path, message }) =>
        path.length === 0 ? message : `${path.join('.')}: ${message}`,
      )
      throw new FormatError(`${where}: ${problems.join('; ')}`, { cause: error })
    }
  })
}

/** What Python holds for true. */
function given(kwargs: unknown, where: string): Record<string, unknown> {
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs))
    throw new FormatError(`${where}: kwargs is ${JSON.stringify(kwargs)}, expected an object`)
  const empty = (value: unknown) =>
    !value || (typeof value === 'object' && Object.keys(value).length === 0)
  return Object.fromEntries(Object.entries(kwargs).filter(([, value]) => !empty(value)))
}

/** A response of space alone follows nothing. */
export function judge(checks: readonly Check[], response: string): Verdicts {
  const others = variants(response)
  const follows = (check: Check) => (text: string) => strip(text) !== '' && check(text)
  const strict = checks.map((check) => follows(check)(response))
  return { strict, loose: checks.map((check, i) => strict[i]! || [...others].some(follows(check))) }
}

/** Without its first line, its last, both; and each of them and the whole without asterisks. */
function variants(response: string): Set<string> {
  const lines = response.split('\n')
  const shortened = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)]
  const texts = [response, ...shortened.map((part) => strip(part.join('\n')))]
  const different = new Set([...texts, ...texts.map((text) => text.replaceAll('*', ''))])
  different.delete(response)
  return different
}

export type Scores = Readonly<
  Record<
    | 'prompt_level_strict_acc'
    | 'inst_level_strict_acc'
    | 'prompt_level_loose_acc'
    | 'inst_level_loose_acc',
    number
  >
>

/** Shares of prompts whose instructions were all followed, and of all instructions of all prompts; NaN of none. */
export function scores(verdicts: readonly Verdicts[]): Scores {
  const mean = (values: readonly boolean[]) => values.filter(Boolean).length / values.length
  const strict = verdicts.map((each) => each.strict)
  const loose = verdicts.map((each) => each.loose)
  return {
    prompt_level_strict_acc: mean(strict.map((each) => each.every(Boolean))),
    inst_level_strict_acc: mean(strict.flat()),
    prompt_level_loose_acc: mean(loose.map((each) => each.every(Boolean))),
    inst_level_loose_acc: mean(loose.flat()),
  }
}
