/** A runtime without an engine, inside the test's process: it speaks the protocol and makes its numbers up. */
import type { Client } from '#gpu-runtime/client.ts'
import type { Reporter } from '#gpu-runtime/report.ts'
import type { Job, Sample } from '#schema/protocol.ts'

export type Behaviour = {
  readonly steps: number
  /** Documents of each evaluation. */
  readonly documents: number
  readonly checkpointEvery: number
  /** Milliseconds that a step takes. */
  readonly stepTime: number
  /** Asks for the end; by default the reporter's. */
  readonly signal?: AbortSignal
  /** Called before each step is reported. */
  readonly beforeStep?: (step: number) => void
}

/** The loss of a step is a function of the step, so that a curve says whether steps are missing or came from elsewhere. */
export const lossAt = (step: number): number => 1 / step

/** Trains, scores and finishes; resumes after the job's checkpoint; on the signal writes one and says goodbye. */
export async function pretend(
  client: Client,
  report: Reporter,
  job: Job,
  how: Behaviour,
): Promise<void> {
  const signal = how.signal ?? report.signal
  const resumed = job.checkpoint?.step ?? null
  report.event('started', { runtime: 'fake', device: 'none', threads: 1, resumedFromStep: resumed })
  if (job.spec.kind === 'TRAIN' && job.adapter.length === 0) {
    report.event('phase', { phase: 'TRAIN' })
    for (let step = (resumed ?? 0) + 1; step <= how.steps; step++) {
      await new Promise((resolve) => setTimeout(resolve, how.stepTime))
      if (signal.aborted) return await leave(client, report, step - 1)
      how.beforeStep?.(step)
      report.event('metrics', { step, values: { loss: lossAt(step), learning_rate: 1e-5 } })
      report.event('progress', {
        phase: 'TRAIN',
        done: step,
        total: how.steps,
        unit: 'step',
        tokensPerSecond: null,
        etaSeconds: null,
      })
      if (step % how.checkpointEvery === 0) await saveCheckpoint(client, report, step)
    }
    const file = await client.upload(Buffer.from('adapter'), {
      kind: 'ADAPTER',
      name: 'adapter_model.safetensors',
    })
    report.event('adapter', { artifacts: [file.id], sha256: file.sha256, parameters: 12 })
  }
  report.event('phase', { phase: 'EVALUATE' })
  for (const { key, subject } of job.evaluations) {
    report.event('evaluation', { key, promptHash: 'a'.repeat(64), documents: how.documents })
    const samples = Array.from({ length: how.documents }, (_, document) =>
      sample(document, subject === 'ADAPTER' || document % 2 === 0),
    )
    report.event('samples', { key, samples })
    report.event('evaluated', { key, documents: how.documents })
  }
  report.event('finished', { summary: { steps: how.steps } })
  await report.close()
}

async function saveCheckpoint(client: Client, report: Reporter, step: number): Promise<void> {
  const file = await client.upload(Buffer.from(`checkpoint ${step}`), {
    kind: 'CHECKPOINT',
    name: 'checkpoint.bin',
    step,
  })
  report.event('checkpoint', { step, artifact: file.id })
}

async function leave(client: Client, report: Reporter, step: number): Promise<void> {
  if (step > 0) await saveCheckpoint(client, report, step)
  const reason = (report.signal.reason as Error)?.name === 'Canceled' ? 'CANCELED' : 'SIGTERM'
  report.event('interrupted', { reason, step: step > 0 ? step : null })
  await report.close()
}

export function sample(document: number, right: boolean): Sample {
  return {
    document,
    hash: `hash of ${document}`,
    gold: 0,
    picked: right ? 0 : 1,
    choices: [
      { logLikelihood: -1.5, tokens: 3 },
      { logLikelihood: null, tokens: 2 },
    ],
    scores: { acc: right ? 1 : 0, acc_norm: right ? 1 : 0 },
    question: 'Which is bigger?',
    answers: ['a house', 'a mouse'],
  }
}
