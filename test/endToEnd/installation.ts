/**
 * An installation as its users meet it: a server that starts real runtimes as processes, spoken to over HTTP with an API key;
 * the embedded model, rows and benchmark; and a folder of its own for input that is made up.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after } from 'node:test'
import { setInterval } from 'node:timers/promises'
import { isNull } from 'drizzle-orm'
import type { Config } from '#api/env.ts'
import { connect } from '#cli/client.ts'
import { embedded } from '#demo/embedded.ts'
import { artifacts, evaluations } from '#schema/tables.ts'
import { testServer } from '#test/support/server.ts'

export type Event = {
  readonly cursor: number
  readonly attempt: number
  readonly source: 'API' | 'RUNTIME' | 'LAUNCHER'
  readonly type: string
  readonly status: string | null
  readonly step: number | null
  readonly at: string
  readonly body: Readonly<Record<string, any>>
}

export type Installation = Awaited<ReturnType<typeof install>>

export type Refusal = {
  readonly problem: string
  readonly message: string
  readonly issues: readonly { readonly path: string[]; readonly message: string }[]
}

const problems = '... on Problem { message } ... on InvalidInput { issues { path message } }'
const mutations = {
  trainAdapter: `mutation ($input: TrainAdapterInput!) { trainAdapter(input: $input) { __typename ... on Run { id } ${problems} } }`,
  evaluate: `mutation ($input: EvaluateInput!) { evaluate(input: $input) { __typename ... on Run { id } ${problems} } }`,
} as const

const runDocument = `query ($id: ID!) { run(id: $id) {
  id status attempt maxAttempts failure { code message }
  model { id name }
  adapter { id sha256 parameters }
  artifacts { id kind name step sha256 bytes attempt }
  curves(maxPoints: 100) { name points { step value } }
  evaluations { id finishedAt documents promptHash adapter { id } scores { metric value n } }
  comparison { id tasks { task metric n leftOut baseline candidate difference low high pValue } }
} }`

/** A training of a second or two on two cores: few short steps, a checkpoint after each third, part of the benchmark. */
export const smallTraining = {
  model: { path: embedded.model },
  dataset: { path: embedded.dataset, limit: 120, testSize: 8 },
  recipe: {
    learningRate: 2e-3,
    batchSize: 8,
    accumulation: 1,
    maxSteps: 12,
    warmupSteps: 2,
    maxLength: 128,
    maxPromptLength: 96,
    evalEvery: 0.5,
    checkpointEvery: 3,
  },
  lora: { r: 4, alpha: 8 },
  evaluate: { tasks: [{ task: 'who_is_bigger', limit: 60 }] },
} as const

let keys = 0

/** Closed after the file's last test; `inputs` is inside the roots, `scratch` is where its runtimes keep temporary files. */
export async function install(overrides: Partial<Config> = {}) {
  const inputs = await mkdtemp(join(tmpdir(), 'oddsmith-inputs-'))
  const server = await testServer(
    { concurrency: 1, leaseSeconds: 10, roots: [dirname(embedded.model), inputs], ...overrides },
    { poll: 200 },
  )
  const { config, db } = server.context
  after(() => rm(inputs, { recursive: true, force: true }))
  const client = connect(server.url, server.firstKey!)

  async function ask(
    mutation: keyof typeof mutations,
    input: object,
  ): Promise<{ id: string } | Refusal> {
    const answer = await client.query<Record<string, any>>(mutations[mutation], {
      input: { idempotencyKey: `key ${++keys}`, ...input },
    })
    const { __typename, id, message, issues = [] } = answer[mutation]
    return __typename === 'Run' ? { id } : { problem: __typename, message, issues }
  }

  async function start(mutation: keyof typeof mutations, input: object): Promise<string> {
    const answer = await ask(mutation, input)
    assert.ok('id' in answer, `${mutation}: ${JSON.stringify(answer)}`)
    return answer.id
  }

  /** Everything that happens in a run from its first event to its last. */
  async function* follow(id: string): AsyncGenerator<Event> {
    const document =
      'subscription ($id: ID!) { runEvents(id: $id) { cursor attempt source type status step at body } }'
    for await (const { runEvents } of client.subscribe<{ runEvents: Event }>(document, { id }))
      yield runEvents
  }

  async function until(id: string, wanted: (event: Event) => boolean): Promise<Event> {
    const seen: string[] = []
    for await (const event of follow(id)) {
      if (wanted(event)) return event
      seen.push(event.status ?? event.type)
    }
    assert.fail(`the run ended before what was waited for: ${seen.join(' ')}`)
  }

  /** Of a run's runtime, which leads a process group; null while there is none. */
  async function pid(id: string): Promise<number | null> {
    const file = join(config.home, 'runtimes', `${uuid(id)}.json`)
    return readFile(file, 'utf8')
      .then((text) => (JSON.parse(text) as { pid: number }).pid)
      .catch(() => null) // not there, or not yet whole
  }

  return {
    server,
    client,
    inputs,
    /** What the mutation answered where it refused. */
    async refusal(mutation: keyof typeof mutations, input: object): Promise<Refusal> {
      const answer = await ask(mutation, input)
      assert.ok('problem' in answer, `expected a problem, got run ${JSON.stringify(answer)}`)
      return answer
    },
    train: (input: object = smallTraining) => start('trainAdapter', input),
    evaluate: (input: object) => start('evaluate', input),
    until,
    events: (id: string) => Array.fromAsync(follow(id)),
    run: async (id: string) => (await client.query<{ run: any }>(runDocument, { id })).run,
    /** The run when it has ended, with its events. */
    async ended(id: string) {
      const events = await Array.fromAsync(follow(id))
      const { run } = await client.query<{ run: any }>(runDocument, { id })
      return { run, events }
    },
    pid,
    /** Signals the whole process group of a run's runtime. */
    signal: async (id: string, signal: NodeJS.Signals) => process.kill(-(await pid(id))!, signal),
    /** Where the bytes of an artifact of a run are. */
    artifact: (id: string, artifact: string) =>
      join(config.home, 'artifacts', uuid(id), uuid(artifact)),
    /** Until every runtime has exited and was cleared away. */
    async idle(): Promise<void> {
      const { dispatcher } = server
      for await (const _ of setInterval(20)) if (dispatcher.active().length === 0) return
    },
    /** What runtimes and uploads have left on disk outside of the artifacts. */
    leftovers: async () => [
      ...(await readdir(join(config.home, 'runtimes'))),
      ...(await readdir(join(config.home, 'artifacts', 'incoming'))),
    ],
    /** Rows that promise more than there is, and artifacts whose row or file is missing. */
    async halfDone(): Promise<string[]> {
      const open = await db.select().from(evaluations).where(isNull(evaluations.finishedAt))
      const empty = (
        await db.query.adapters.findMany({
          with: { files: true, run: { with: { artifacts: true } } },
        })
      ).filter(
        ({ run, files }) =>
          (run?.artifacts ?? files).filter(({ kind }) => kind === 'ADAPTER').length !== 2,
      )
      const rows = (await db.select().from(artifacts)).map(({ runId, adapterId, id }) =>
        join((runId ?? adapterId)!, id),
      )
      const folder = join(config.home, 'artifacts')
      const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      return [
        ...open.map(({ id }) => `evaluation ${id} is not finished`),
        ...empty.map(({ id }) => `adapter ${id} lacks files`),
        ...rows.filter((row) => !files.includes(row)).map((row) => `artifact ${row} has no file`),
        ...files
          .filter((file) => !rows.includes(file))
          .map((file) => `file ${file} has no artifact`),
      ]
    },
  }
}

/** Global ids are Type:uuid. */
export const uuid = (id: string): string => id.slice(id.indexOf(':') + 1)

export const statuses = (events: readonly Event[]) =>
  events.filter(({ type }) => type === 'status').map(({ status }) => status)

/** Every curve that the spec determines, by name; how fast it went is not among them. */
export const curvesOf = (run: any): Record<string, { step: number; value: number | null }[]> =>
  Object.fromEntries(
    run.curves
      .filter(({ name }: any) => name !== 'tokens_per_second')
      .map(({ name, points }: any) => [name, points]),
  )
