/** What can be said to the demo on its command line. */
import { parseArgs } from 'node:util'
import { dirname, resolve } from 'node:path'
import { existsSync } from 'node:fs'
import { embedded as own } from './embedded.ts'

export const usage = `usage: npm run demo -- [options]

  --model DIR        a model in Hugging Face layout        (default: the embedded one)
  --dataset FILE     preference rows, JSONL or JSON array  (default: the embedded ones)
  --tasks A,B        benchmark tasks                       (default: who_is_bigger; "none" for no evaluation)
  --benchmarks DIR   where the tasks' rows are, beside the embedded ones and $ODDSMITH_SHARED
  --limit N          documents of each task
  --max-steps N      optimizer steps
  --learning-rate X  peak of the schedule
  --nf4              the base model in four bits (QLoRA)
  --port N           where to listen                       (default: 4000, or any free port when it is taken)
  --exit             end after printing, with status 0
`

export type Options = {
  readonly model: string
  readonly dataset: string
  readonly tasks: readonly string[]
  readonly limit: number | null
  readonly maxSteps: number | null
  readonly learningRate: number | null
  readonly nf4: boolean
  readonly port: number | null
  readonly benchmarks: readonly string[]
  readonly exit: boolean
  /** Nothing was pointed at real input: the embedded model and rows, with a recipe made for them. */
  readonly embedded: boolean
}

/** Throws with the usage text when an option is not understood. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options | 'help' {
  try {
    return read(args, env)
  } catch (error) {
    throw new Error(`${(error as Error).message}\n\n${usage}`)
  }
}

function read(args: readonly string[], env: NodeJS.ProcessEnv): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      dataset: { type: 'string' },
      tasks: { type: 'string' },
      benchmarks: { type: 'string' },
      limit: { type: 'string' },
      'max-steps': { type: 'string' },
      'learning-rate': { type: 'string' },
      nf4: { type: 'boolean', default: false },
      port: { type: 'string' },
      exit: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const number = (
    name: 'limit' | 'max-steps' | 'learning-rate' | 'port',
    whole: boolean,
  ): number | null => {
    const text = values[name]
    if (text === undefined) return null
    const n = Number(text)
    if (!(n > 0) || (whole && !Number.isInteger(n)))
      throw new Error(
        `--${name}: expected a positive ${whole ? 'whole ' : ''}number, got "${text}"`,
      )
    return n
  }
  const embedded = values.model === undefined && values.dataset === undefined
  const defaultTasks = values.model === undefined ? 'who_is_bigger' : 'none'
  const tasks = (values.tasks ?? defaultTasks)
    .split(',')
    .map((t) => t.trim())
    .filter((t) => t !== '' && t !== 'none')
  const shared = resolve(env.ODDSMITH_SHARED ?? '../shared', 'data/nous-normalised')
  return {
    model: resolve(values.model ?? own.model),
    dataset: resolve(values.dataset ?? own.dataset),
    tasks,
    limit: number('limit', true),
    maxSteps: number('max-steps', true),
    learningRate: number('learning-rate', false),
    nf4: values.nf4,
    port: number('port', true),
    benchmarks: [
      ...(values.benchmarks ? [resolve(values.benchmarks)] : []),
      ...(existsSync(shared) ? [shared] : []),
    ],
    exit: values.exit,
    embedded,
  }
}

/** The folders that the command line points at: whoever sits here may read them. */
export const rootsOf = ({ model, dataset, benchmarks }: Options): string[] => [
  model,
  dirname(dataset),
  ...benchmarks,
]
