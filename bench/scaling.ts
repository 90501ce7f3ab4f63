/**
 * `npm run bench:scaling`: what training costs as the dataset grows from a hundred rows to a hundred thousand, and what it holds in
 * memory as rows grow from one to eight thousand tokens, by what is recomputed. Real runtimes, one after the other.
 */
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { embedded } from '#demo/embedded.ts'
import { Engine, LoraSpec, Recipe, type TrainSpec } from '#schema/spec.ts'
import { runProcess, type Measured } from './runtimeProcess.ts'
import { table } from './table.ts'

const usage = `usage: npm run bench:scaling -- [options]

  --model DIR       the model of the memory table, in Hugging Face layout
                    (default: the embedded one, with more positions than it was made for)
  --rows A,B,…      sizes of the dataset, on the embedded model   (default: 100,1000,10000,100000)
  --tokens A,B,…    tokens of a row                               (default: 1024,2048,4096,8192)
                    an empty list leaves a table out
  --threads N       (default: all cores)
`

const recomputes = ['NONE', 'ATTENTION', 'LAYER'] as const
/** Steps of each size of the dataset: the same pairs of tokens per step, however many rows there are. */
const steps = 100

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const whole = (n: number): string => Math.round(n).toLocaleString('en')

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    rows: { type: 'string', default: '100,1000,10000,100000' },
    tokens: { type: 'string', default: '1024,2048,4096,8192' },
    threads: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number)
const threads = options.threads === undefined ? null : Number(options.threads)

function specOf(
  model: string,
  dataset: { path: string; sha256: string },
  recipe: Partial<Recipe>,
  engine: Partial<Engine>,
): TrainSpec {
  return {
    kind: 'TRAIN',
    model: { path: model, revision: '0'.repeat(64) },
    adapter: null,
    quantization: 'NONE',
    dataset: { ...dataset, shuffle: true, limit: null, testSize: 0 },
    recipe: Recipe.parse({ evalEvery: 0, checkpointEvery: 0, ...recipe }),
    lora: LoraSpec.parse({}),
    engine: Engine.parse({ threads, ...engine }),
    evaluate: [],
  }
}

/** A file of rows, written as it is made. */
async function dataset(path: string, rows: Iterable<string>) {
  await writeFile(path, rows)
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return { path, sha256: hash.digest('hex') }
}

const begun = (measured: Measured): number => measured.time(({ type }) => type === 'dataset')

/** Microseconds a token, the median over the steps after the first ten. */
function costOf({ events }: Measured): number {
  const costs = events
    .flatMap((e) => (e.type === 'metrics' ? [1e6 / e.body.values['tokens_per_second']!] : []))
    .slice(10)
    .toSorted((a, b) => a - b)
  return costs[Math.floor(costs.length / 2)]!
}

async function bySize(folder: string): Promise<void> {
  const known = (await readFile(embedded.dataset, 'utf8')).trim().split('\n')
  const recipe = {
    batchSize: 8,
    accumulation: 1,
    maxSteps: steps,
    maxLength: 128,
    maxPromptLength: 96,
  }
  const rows: string[][] = []
  for (const size of numbers(options.rows)) {
    const lines = Iterator.from({
      *[Symbol.iterator]() {
        for (let i = 0; i < size; i++) yield `${known[i % known.length]!}\n`
      },
    })
    const file = await dataset(join(folder, 'rows.jsonl'), lines)
    const measured = await runProcess(specOf(embedded.model, file, recipe, {}))
    rows.push([
      whole(size),
      begun(measured).toFixed(2),
      costOf(measured).toFixed(1),
      measured.cpu.toFixed(1),
      whole(measured.peak),
    ])
  }
  say(`${steps} steps of 8 pairs on ${embedded.model}, by rows of the dataset`)
  say(table(['rows', 'first step, s', 'µs a token', 'CPU, s', 'peak, MB'], rows))
  say()
}

async function byLength(folder: string): Promise<void> {
  const model = options.model === undefined ? await longer(folder) : resolve(options.model)
  const words = 'which is smaller the goat or the dog '
  const rows: string[][] = []
  for (const tokens of numbers(options.tokens)) {
    // More text than fits: prompt and answers are cut to an exact number of tokens.
    const row = {
      prompt: words.repeat(tokens),
      chosen: words.repeat(tokens),
      rejected: `no ${words.repeat(tokens)}`,
    }
    const file = await dataset(join(folder, 'row.jsonl'), [`${JSON.stringify(row)}\n`])
    const answer = tokens / 8
    const recipe = {
      batchSize: 1,
      accumulation: 1,
      maxSteps: 2,
      maxLength: tokens - answer,
      maxPromptLength: tokens - 2 * answer,
    }
    const peaks: number[] = []
    for (const recompute of recomputes) {
      const engine = { recompute, tokenBudget: tokens }
      peaks.push((await runProcess(specOf(model, file, recipe, engine))).peak)
    }
    rows.push([whole(tokens), ...peaks.map(whole)])
  }
  say(`Peak memory in MB of one row on ${model}, by its tokens and by what is recomputed`)
  say(table(['tokens', ...recomputes], rows))
}

/** The embedded model, told that it has positions enough. What it says there does not matter here. */
async function longer(folder: string): Promise<string> {
  const model = join(folder, 'model')
  await mkdir(model)
  const config = JSON.parse(await readFile(join(embedded.model, 'config.json'), 'utf8')) as object
  await writeFile(
    join(model, 'config.json'),
    JSON.stringify({ ...config, max_position_embeddings: 1 << 20 }),
  )
  for (const name of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    await symlink(join(embedded.model, name), join(model, name))
  return model
}

if (options.help) {
  say(usage)
} else {
  const folder = await mkdtemp(join(tmpdir(), 'oddsmith-bench-'))
  try {
    if (numbers(options.rows).length > 0) await bySize(folder)
    if (numbers(options.tokens).length > 0) await byLength(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
