/** What can be said to the benchmark on its command line, and where its model and its peer are. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { unpack } from '../smollm2.ts'

export const parts = ['fp32', 'bf16', 'layer', 'profile'] as const
export type Part = (typeof parts)[number]

export const usage = `usage: npm run bench:train -- [options]

  --steps N        measured steps of each side, after one that warms up   (default: 3)
  --only A,B       parts: ${parts.join(', ')}                    (default: all)
                   fp32 and bf16: our trainer against TRL's; layer: whole layers recomputed, for memory; profile: per-op table
  --skip-trl       our side and the limit only
  --json FILE      write the figures
  --model DIR      a Llama in Hugging Face layout                         (default: SmolLM2-135M of $ODDSMITH_SHARED)
  --dataset FILE   preference rows                                        (default: the 300 multi-turn rows of $ODDSMITH_SHARED)
  --python PATH    a Python with trl, peft and torch                      (default: $ODDSMITH_PYTHON, else .reference/bin/python)
  --threads N      of every side                                          (default: all cores)
`

export type Options = {
  readonly steps: number
  readonly only: ReadonlySet<Part>
  readonly json: string | null
  readonly model: string
  readonly dataset: string
  /** null: TRL is left out. */
  readonly python: string | null
  readonly threads: number
}

const repository = resolve(import.meta.dirname, '../..')

/** Throws with the usage text when an option is not understood. Unpacks the default model into `scratch`. */
export async function readOptions(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  scratch: string,
): Promise<Options | 'help'> {
  const { values } = parse(args)
  if (values.help) return 'help'
  const shared = resolve(env.ODDSMITH_SHARED ?? join(repository, '../shared'))
  const only = values.only?.split(',') ?? parts
  for (const part of only)
    if (!(parts as readonly string[]).includes(part))
      throw new Error(`--only ${part}: expected ${parts.join(', ')}\n\n${usage}`)
  const python = values.python ?? env.ODDSMITH_PYTHON ?? join(repository, '.reference/bin/python')
  const skip = values['skip-trl'] || (values.python === undefined && !existsSync(python))
  return {
    steps: count('--steps', values.steps),
    only: new Set(only as Part[]),
    json: values.json ?? null,
    model: resolve(values.model ?? (await unpack(shared, scratch))),
    dataset: resolve(
      values.dataset ?? join(shared, 'data/preference-chatml/dpo_en_demo.chatml.jsonl'),
    ),
    python: skip ? null : python,
    threads: count('--threads', values.threads ?? String(availableParallelism())),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        steps: { type: 'string', default: '3' },
        only: { type: 'string' },
        'skip-trl': { type: 'boolean', default: false },
        json: { type: 'string' },
        model: { type: 'string' },
        dataset: { type: 'string' },
        python: { type: 'string' },
        threads: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new Error(`${(error as Error).message}\n\n${usage}`)
  }
}

function count(option: string, value: string): number {
  if (!/^[1-9]\d*$/.test(value))
    throw new Error(`${option} ${value}: expected a positive whole number\n\n${usage}`)
  return Number(value)
}
