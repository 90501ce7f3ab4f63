/** A gate's rules: from a JSON or YAML file, or from the command line. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { Failure } from './exit.ts'

const Rule = z.strictObject({
  kind: z.enum(['SUPERIORITY', 'NON_INFERIORITY']),
  margin: z.number().min(0),
  alpha: z.number().gt(0).lt(0.5).optional(),
  task: z.string().optional(),
  tasks: z.array(z.string()).min(1).optional(),
  suite: z.string().optional(),
  metric: z.string().optional(),
})
const Rules = z.strictObject({
  rules: z.array(Rule).min(1).max(200),
  adjust: z.enum(['NONE', 'HOLM']).optional(),
  /** Of a run: it ends each task as soon as its rule has a verdict. */
  sequential: z.boolean().optional(),
})
export type Rules = z.infer<typeof Rules>

/** A file of a rule or two has no need of more. */
const mostBytes = 1 << 20

/** `{ rules: [{ kind, margin, … }], adjust, sequential }`. Throws Failure naming what is wrong by its path. */
export async function readRules(file: string): Promise<Rules> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new Failure('USAGE', `cannot read the rules: ${cause.message}`)
  })
  if (text.length > mostBytes)
    throw new Failure('USAGE', `${file}: expected at most ${mostBytes} characters of rules`)
  let value: unknown
  try {
    // JSON is YAML too.
    value = parse(text, { maxAliasCount: 0 })
  } catch (error) {
    throw new Failure('USAGE', `${file}: expected JSON or YAML: ${(error as Error).message}`)
  }
  return check(value, file)
}

export type RuleFlags = {
  readonly superior?: number
  readonly notInferior?: number
  readonly alpha?: number
  readonly task?: readonly string[]
  readonly suite?: string
  readonly metric?: string
  readonly holm?: boolean
}

/** One rule for each task that is named, else one for the suite, else one for the mean over all tasks. */
export function rulesOf(flags: RuleFlags): Rules {
  const { superior, notInferior, alpha, task = [], suite, metric, holm = false } = flags
  const claims = [
    ...(superior === undefined ? [] : [{ kind: 'SUPERIORITY', margin: superior }]),
    ...(notInferior === undefined ? [] : [{ kind: 'NON_INFERIORITY', margin: notInferior }]),
  ]
  if (claims.length === 0)
    throw new Failure('USAGE', 'expected --superior, --not-inferior or --rules')
  const about = [...task.map((one) => ({ task: one })), ...(suite === undefined ? [] : [{ suite }])]
  const rules = claims.flatMap((claim) =>
    (about.length > 0 ? about : [{}]).map((subject) => ({ ...claim, alpha, ...subject, metric })),
  )
  return check({ rules, adjust: holm ? 'HOLM' : undefined }, 'rules')
}

function check(value: unknown, where: string): Rules {
  const parsed = Rules.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map(({ path, message }) => ({
    path: path.map(String),
    message,
  }))
  throw new Failure('USAGE', `${where}: not rules of a gate`, issues)
}
