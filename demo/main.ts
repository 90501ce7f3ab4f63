/**
 * `npm run demo`: starts the api, then does over HTTP what a user would: one trainAdapter mutation that trains an adapter and
 * scores it against its base, watched through the subscription, and the comparison printed.
 */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { createOwnerKey } from '#api/accounts/keys.ts'
import { readConfig, type Config } from '#api/env.ts'
import { startServer, type RunningServer } from '#api/server.ts'
import { connect, type Client } from '#cli/client.ts'
import { comparisonTable, type ComparisonRow } from '#cli/comparisonTable.ts'
import { readOptions, rootsOf, usage, type Options } from './options.ts'
import { Display, type Progress } from '#cli/progress.ts'

const say = (text = ''): void => void process.stdout.write(`${text}\n`)

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), process.env)
  if (options === 'help') {
    say(usage)
    return 0
  }
  const base = readConfig(process.env)
  const config: Config = {
    ...base,
    port: options.port ?? ((await isFree(base.host, base.port)) ? base.port : 0),
    roots: [...base.roots, ...rootsOf(options)],
    benchmarkRoots: [...base.benchmarkRoots, ...options.benchmarks],
  }
  await mkdir(config.home, { recursive: true })
  const stopped = untilInterrupted()
  const server = await startServer(config, {
    log: pino(
      { level: config.logLevel },
      pino.destination({ dest: join(config.home, 'demo.log'), append: true }),
    ),
  })
  try {
    const key = await keyOf(server, config)
    say(`Oddsmith is up.`)
    say(`  leaderboard  ${server.url}/`)
    say(`  GraphiQL     ${server.url}/graphql`)
    say(`  log in       ${server.url}/login with the API key ${key}`)
    say(`               (kept in ${join(config.home, 'demo.key')}, readable by you only)`)
    say()
    const ok = await Promise.race([
      job(connect(server.url, key), options, server.url),
      stopped.then(() => null),
    ])
    if (ok === null) return 130
    if (options.exit || !ok) return ok ? 0 : 1
    say(`Serving until Ctrl-C.`)
    await Promise.race([stopped, server.lost])
    return 0
  } finally {
    await server.close()
  }
}

/** The demo's own key: the first one where this start made it, else the one that an earlier demo kept, else a new one. */
async function keyOf({ firstKey, context, url }: RunningServer, { home }: Config): Promise<string> {
  const file = join(home, 'demo.key')
  const kept =
    firstKey ??
    (await readFile(file, 'utf8').then(
      (t) => t.trim(),
      () => null,
    ))
  const works =
    kept !== null &&
    (await connect(url, kept)
      .query('{ viewer { account { id } } }')
      .then(
        () => true,
        () => false,
      ))
  const key = works ? kept : await createOwnerKey(context, 'demo')
  await writeFile(file, `${key}\n`, { mode: 0o600 })
  return key
}

/** The embedded rows are short and the model tiny: a higher rate, a bigger batch. Real input gets the article's recipe. */
function recipeOf({ embedded, maxSteps, learningRate }: Options): Record<string, unknown> {
  const small = {
    learningRate: 2e-3,
    batchSize: 8,
    accumulation: 1,
    maxSteps: 150,
    warmupSteps: 10,
    maxLength: 128,
    maxPromptLength: 96,
  }
  return {
    ...(embedded ? small : {}),
    ...(maxSteps === null ? {} : { maxSteps }),
    ...(learningRate === null ? {} : { learningRate }),
  }
}

const trainDocument = `mutation Train($input: TrainAdapterInput!) {
  trainAdapter(input: $input) {
    __typename
    ... on Run { id name }
    ... on Problem { message }
    ... on InvalidInput { issues { path message } }
  }
}`
const watchDocument = `subscription Watch($id: ID!) {
  runEvents(id: $id) { type status step message metrics { name value } progress { phase done total unit tokensPerSecond etaSeconds } body }
}`
const resultDocument = `query Result($id: ID!) {
  run(id: $id) {
    status failure { code message }
    comparison { id tasks { task metric n baseline candidate difference low high level pValue } }
    evaluations { id }
  }
}`

type Trained = {
  trainAdapter: {
    __typename: string
    id: string
    name: string
    message?: string
    issues?: { path: string[]; message: string }[]
  }
}
type Watched = {
  runEvents: {
    type: string
    status: string | null
    step: number | null
    message: string | null
    metrics: { name: string; value: number | null }[] | null
    progress: Progress | null
    body: Record<string, unknown>
  }
}
type Result = {
  run: {
    status: string
    failure: { code: string; message: string } | null
    comparison: { id: string; tasks: ComparisonRow[] } | null
    evaluations: { id: string }[]
  }
}

/** True when the run succeeded. */
async function job(client: Client, options: Options, url: string): Promise<boolean> {
  const input = {
    idempotencyKey: randomUUID(),
    ...(options.embedded ? { name: 'who is bigger' } : {}),
    model: { path: options.model },
    dataset: { path: options.dataset },
    ...(options.nf4 ? { quantization: 'NF4' } : {}),
    recipe: recipeOf(options),
    ...(options.tasks.length > 0
      ? { evaluate: { tasks: options.tasks.map((task) => ({ task, limit: options.limit })) } }
      : {}),
  }
  const { trainAdapter } = await client.query<Trained>(trainDocument, { input })
  if (trainAdapter.__typename !== 'Run') {
    const { message, issues } = trainAdapter
    const reasons = issues?.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
    process.stderr.write(`trainAdapter: ${reasons ? `refused\n${reasons.join('\n')}` : message}\n`)
    return false
  }
  const { id, name } = trainAdapter
  const uuid = id.includes(':') ? id.split(':')[1]! : id
  say(`Run "${name}"  ${url}/runs/${uuid}`)
  await follow(client, id)

  const { run } = await client.query<Result>(resultDocument, { id })
  if (run.status !== 'SUCCEEDED') {
    process.stderr.write(
      `The run ended ${run.status}${run.failure ? `: ${run.failure.message}` : ''}\n`,
    )
    return false
  }
  say()
  if (run.comparison) {
    say(comparisonTable(run.comparison.tasks))
    say()
    const compared = new Set(run.comparison.tasks.map((t) => t.task)).size
    if (run.evaluations.length < 2 * compared)
      say('The base model was scored before under the same settings; its scores were taken over.')
  }
  return true
}

async function follow(client: Client, id: string): Promise<void> {
  const display = new Display(process.stdout)
  const metrics = new Map<string, number | null>()
  for await (const { runEvents: event } of client.subscribe<Watched>(watchDocument, { id })) {
    event.metrics?.forEach(({ name, value }) => metrics.set(name, value))
    if (event.type === 'status') {
      display.end()
      say(`${event.status}`)
    } else if (event.type === 'dataset') {
      const { rows, train, test, steps } = event.body as Record<string, number>
      say(`${rows} rows: ${train} to train on, ${test} held out; ${steps} steps`)
    } else if (event.type === 'cuts') {
      const { looked, pairs, tokens } = event.body as Record<string, number>
      display.end()
      say(`${pairs} of ${looked} pairs cut, by ${tokens} tokens`)
    } else if (event.progress) {
      display.show(event.progress, metrics)
    } else if (event.type === 'log' && event.message && event.body.level !== 'debug') {
      display.end()
      say(`  ${event.message}`)
    }
  }
  display.end()
}

async function isFree(host: string, port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, host)
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}

/** Settles at the first Ctrl-C or SIGTERM. */
function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}

// Exits instead of waiting: a subscription whose server has closed would go on trying to reconnect.
try {
  process.exit(await main())
} catch (error) {
  const { message, cause } = error as Error
  process.stderr.write(`${message}${cause instanceof Error ? `: ${cause.message}` : ''}\n`)
  process.exit(1)
}
