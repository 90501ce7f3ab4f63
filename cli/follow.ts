/** A run until it has ended, with its progress on stderr. */
import type { Client } from './client.ts'
import { Failure } from './exit.ts'
import { Display, type Progress } from './progress.ts'

export type Ended = {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly failure: { readonly code: string; readonly message: string } | null
}

type Watched = {
  readonly runEvents: {
    readonly type: string
    readonly status: string | null
    readonly message: string | null
    readonly metrics: readonly { readonly name: string; readonly value: number | null }[] | null
    readonly progress: Progress | null
    readonly body: Readonly<Record<string, unknown>>
  }
}

const watchDocument = `subscription ($id: ID!) {
  runEvents(id: $id) { type status message metrics { name value } progress { phase done total unit tokensPerSecond etaSeconds } body }
}`
const endedDocument =
  'query ($id: ID!) { run(id: $id) { id name status failure { code message } } }'

/** Of an evaluation in shards each is followed, one after the other. Throws Failure where there is no such run. */
export async function follow(client: Client, id: string): Promise<Ended> {
  const { run } = await client.query<{ run: { siblings: { id: string }[] } | null }>(
    'query ($id: ID!) { run(id: $id) { siblings { id } } }',
    { id },
  )
  if (run === null) throw new Failure('REFUSED', `there is no run ${id}`)
  let worst: Ended | null = null
  for (const one of run.siblings.length > 0 ? run.siblings.map((s) => s.id) : [id]) {
    const ended = await followOne(client, one)
    if (worst === null || worst.status === 'SUCCEEDED') worst = ended
  }
  return worst!
}

async function followOne(client: Client, id: string): Promise<Ended> {
  const display = new Display(process.stderr)
  const metrics = new Map<string, number | null>()
  const say = (text: string) => {
    display.end()
    process.stderr.write(`${text}\n`)
  }
  for await (const { runEvents: event } of client.subscribe<Watched>(watchDocument, { id })) {
    event.metrics?.forEach(({ name, value }) => metrics.set(name, value))
    if (event.type === 'status') say(`${event.status}`)
    else if (event.progress) display.show(event.progress, metrics)
    else if (event.type === 'log' && event.message && event.body['level'] !== 'debug')
      say(`  ${event.message}`)
  }
  display.end()
  return (await client.query<{ run: Ended }>(endedDocument, { id })).run
}

/** Throws Failure, by which the command exits with 1, unless the run succeeded. */
export function expectSuccess({ id, status, failure }: Ended): void {
  if (status !== 'SUCCEEDED')
    throw new Failure('FAIL', `run ${id} is ${status}${failure ? `: ${failure.message}` : ''}`)
}
