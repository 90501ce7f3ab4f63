/** What a runtime says becomes rows: one transaction per post, under the run's lock, nothing twice. */
import { eq } from 'drizzle-orm'
import type { Acknowledgement, EventBatch, RunEvent } from '#schema/protocol.ts'
import { runs } from '#schema/tables.ts'
import type { Artifacts } from '../artifacts.ts'
import type { Context } from '../context.ts'
import type { Db } from '../database.ts'
import { Conflict } from '../problem.ts'
import { advance } from './advance.ts'
import { holdAttempt, renew } from './attempt.ts'
import { append, type NewEvent } from './events.ts'
import { lose } from './lose.ts'
import { record, type Step } from './record.ts'
import { isActive, type Run } from './run.ts'
import { enoughOf } from './sequential.ts'

/**
 * Stores the events that are not stored yet and extends the lease. A repeated post changes nothing and gets the same answer,
 * also after the event that ended the attempt. Conflict: the attempt has lost the run.
 */
export async function ingest(
  ctx: Context & { readonly artifacts: Artifacts },
  token: string,
  batch: EventBatch,
): Promise<Acknowledgement> {
  const { leaseSeconds } = ctx.config
  const { answer, pruned } = await ctx.db.transaction(async (tx) => {
    let run = await holdAttempt(tx, token)
    const news = batch.events
      .filter(({ seq }) => seq > run.runtimeSeq)
      .sort((a, b) => a.seq - b.seq)
    if (!isActive(run) && (news.length > 0 || batch.events.length === 0)) {
      throw new Conflict(
        `run ${run.id} is ${run.status}; attempt ${run.attempt} has nothing more to say`,
      )
    }
    const step: Step = { tx, nonFinite: null, pruned: [] }
    let last = run.runtimeSeq
    // Events are written together, and before every change of status, so that cursors tell the order of both.
    const unwritten: NewEvent[] = []
    const write = () => append(tx, run, unwritten.splice(0))
    for (const event of news) {
      // A seq occurs once: a batch that repeats one within itself repeats nothing.
      if (event.seq === last) continue
      if (!isActive(run))
        throw new Conflict(`run ${run.id}: event ${event.seq} comes after the attempt's last`)
      last = event.seq
      if (run.status === 'STARTING' && !endings.has(event.type))
        run = await advance(tx, run, 'RUNNING')
      unwritten.push(toStore(event))
      // Which files the adapter has is read from the event that named them, maybe of this very post.
      if (event.type === 'evaluation') await write()
      await record(step, run, event)
      if (!endings.has(event.type)) continue
      await write()
      run = await end(tx, run, event)
    }
    await write()
    if (step.nonFinite !== null && isActive(run)) {
      const message = step.nonFinite
      await append(tx, run, [{ source: 'API', type: 'log', body: { level: 'error', message } }])
      run = await lose(tx, run, { code: 'NON_FINITE', message, final: true, said: true })
    }
    if (last > run.runtimeSeq)
      await tx.update(runs).set({ runtimeSeq: last }).where(eq(runs.id, run.id))
    if (isActive(run)) await renew(tx, run, leaseSeconds)
    const cancel = run.cancelRequestedAt !== null || step.nonFinite !== null
    const enough = await enoughOf(tx, run)
    const answer: Acknowledgement = {
      acknowledged: last,
      leaseSeconds,
      cancel,
      ...(enough.length > 0 && { enough }),
    }
    return { answer, pruned: step.pruned }
  })
  await ctx.artifacts.remove(pruned)
  return answer
}

const endings: ReadonlySet<RunEvent['type']> = new Set(['finished', 'failed', 'interrupted'])

/** Samples have their own table, and what was drawn its place: the event only counts them. */
function toStore(event: RunEvent): NewEvent {
  const body =
    event.type === 'samples'
      ? { key: event.body.key, count: event.body.samples.length }
      : event.type === 'look'
        ? { key: event.body.key, count: event.body.documents.length }
        : event.body
  return { source: 'RUNTIME', seq: event.seq, type: event.type, at: new Date(event.at), body }
}

async function end(tx: Db, run: Run, event: RunEvent): Promise<Run> {
  if (event.type === 'finished')
    return advance(
      tx,
      run.status === 'STARTING' ? await advance(tx, run, 'RUNNING') : run,
      'SUCCEEDED',
    )
  if (event.type === 'failed') {
    const { code, message } = event.body
    return lose(tx, run, { code, message, final: code !== 'ENGINE', said: true })
  }
  if (event.type !== 'interrupted') return run
  const { reason, step } = event.body
  const message = `the runtime was interrupted (${reason}) ${step === null ? 'before its first step' : `after step ${step}`}`
  return lose(tx, run, { code: 'INTERRUPTED', message, uncounted: true, said: true })
}
