/** What can be said to the benchmark on its command line, and where its model, rows and peers are. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { unpack } from '../smollm2.ts'

export const parts = ['fp32', 'bf16', 'generation', 'onepass', 'long'] as const
export type Part = (typeof parts)[number]

export const usage = `usage: npm run bench:eval -- [options]

  --only A,B       parts: ${parts.join(', ')}             (default: all)
                   fp32 and bf16: our scoring against lm-evaluation-harness's; generation: against transformers and llama.cpp;
                   onepass: three subjects in one pass over a third of the documents against three passes;
                   long: peak memory with contexts of 2,048 tokens
  --json FILE      write the figures after each part, beside those of other parts that the file has
  --documents N    of each task                                           (default: 60)
  --rounds N       of generation, after one that warms up                 (default: 3)
  --model DIR      a Llama in Hugging Face layout                         (default: SmolLM2-135M of $ODDSMITH_SHARED)
  --python PATH    a Python with lm-eval, transformers and torch          (default: $ODDSMITH_PYTHON, else .reference/bin/python)
  --llama-cpp DIR  what bench/eval/fetch.sh has fetched                   (default: .cache/llama-cpp)
  --threads N      of every side                                          (default: all cores)

Rows are those of $ODDSMITH_SHARED (default: ../shared); none are part of the repository.
`

export type Options = {
  readonly only: ReadonlySet<Part>
  readonly json: string | null
  readonly documents: number
  readonly rounds: number
  readonly model: string
  readonly shared: string
  readonly python: string
  /** null: llama.cpp is left out. */
  readonly llamaCpp: string | null
  readonly threads: number
}

const repository = resolve(import.meta.dirname, '../..')

/** Throws with the usage text when an option is not understood, and where rows or Python are missing. */
export async function readOptions(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  scratch: string,
): Promise<Options | 'help'> {
  const { values } = parse(args)
  if (values.help) return 'help'
  const only = values.only?.split(',') ?? parts
  for (const part of only)
    if (!(parts as readonly string[]).includes(part))
      throw new Error(`--only ${part}: expected ${parts.join(', ')}\n\n${usage}`)
  const shared = resolve(env.ODDSMITH_SHARED ?? join(repository, '../shared'))
  if (!existsSync(join(shared, 'data')))
    throw new Error(
      `no rows at ${shared}/data, which are not part of the repository: set ODDSMITH_SHARED`,
    )
  const python = values.python ?? env.ODDSMITH_PYTHON ?? join(repository, '.reference/bin/python')
  if (!existsSync(python))
    throw new Error(`no ${python}: give --python, one with lm-eval 0.4.13, transformers and torch`)
  const llamaCpp = resolve(values['llama-cpp'] ?? join(repository, '.cache/llama-cpp'))
  return {
    only: new Set(only as Part[]),
    json: values.json ?? null,
    documents: count('--documents', values.documents),
    rounds: count('--rounds', values.rounds),
    model: resolve(values.model ?? (await unpack(shared, scratch))),
    shared,
    python,
    llamaCpp: existsSync(llamaCpp) ? llamaCpp : null,
    threads: count('--threads', values.threads ?? String(availableParallelism())),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        json: { type: 'string' },
        documents: { type: 'string', default: '60' },
        rounds: { type: 'string', default: '3' },
        model: { type: 'string' },
        python: { type: 'string' },
        'llama-cpp': { type: 'string' },
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
