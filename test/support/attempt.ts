/** An attempt as its runtime would hold it, for tests that speak to ingest without a process. */
import { openArtifacts } from '#api/artifacts.ts'
import { claim } from '#api/dispatch/claim.ts'
import { ingest } from '#api/runs/ingest.ts'
import type {
  Acknowledgement,
  ArtifactRef,
  EventBody,
  EventType,
  RunEvent,
} from '#schema/protocol.ts'
import { sha256 } from '#api/canonical.ts'
import type { TestContext } from './context.ts'

export type Attempt = {
  readonly runId: string
  readonly number: number
  readonly token: string
  /** Posts these, numbered on from the last. */
  say(...events: readonly Said[]): Promise<Acknowledgement>
  /** Posts exactly these. */
  post(events: readonly RunEvent[]): Promise<Acknowledgement>
  store(
    kind: ArtifactRef['kind'],
    name: string,
    content: string,
    step?: number,
  ): Promise<ArtifactRef>
}

export type Said = { readonly [T in EventType]: readonly [type: T, body: EventBody<T>] }[EventType]

/** Claims the run that waits first. */
export async function startAttempt(ctx: TestContext): Promise<Attempt> {
  const claimed = await claim(ctx.db, ctx.config.leaseSeconds)
  if (claimed === null) throw new Error('expected a waiting run')
  const { token, run } = claimed
  const full = { ...ctx, artifacts: await openArtifacts(ctx) }
  let seq = 0
  const post = (events: readonly RunEvent[]) => ingest(full, token, { events: [...events] })
  return {
    runId: run.id,
    number: run.attempt,
    token,
    post,
    say: (...said) => post(said.map(([type, body]) => numbered(++seq, type, body))),
    store: (kind, name, content, step) =>
      full.artifacts.store(
        token,
        { kind, name, step: step ?? null, sha256: sha256(content) },
        bytes(content),
      ),
  }
}

export const numbered = (seq: number, type: EventType, body: unknown): RunEvent =>
  ({ seq, at: new Date(0).toISOString(), type, body }) as RunEvent

async function* bytes(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content)
}

export const started = (resumedFromStep: number | null = null): Said => [
  'started',
  { runtime: 'test', device: 'none', threads: 1, resumedFromStep },
]
