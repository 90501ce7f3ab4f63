/** What becomes of a run whose attempt ended without success: the same answer whoever noticed. */
import type { Failure } from '#schema/runs.ts'
import type { Db } from '../database.ts'
import { advance } from './advance.ts'
import { isActive, type Run } from './run.ts'

/** Why an attempt ended, and what follows from that for the next one. */
export type Loss = Failure & {
  /** Another attempt would end the same way. */
  readonly final?: boolean
  /** The api's own wish (a drain, a preemption): the attempt does not count. */
  readonly uncounted?: boolean
  /** The runtime said so itself and may repeat it; otherwise it is cut off. */
  readonly said?: boolean
}

/** CANCELED where somebody asked for the end, QUEUED where attempts are left, else FAILED. The caller holds the run's lock. */
export async function lose(tx: Db, run: Run, loss: Loss): Promise<Run> {
  if (!isActive(run)) return run
  const { code, message } = loss
  const cut = loss.said ? {} : { tokenHash: null }
  if (run.cancelRequestedAt !== null) return advance(tx, run, 'CANCELED', cut)
  if (loss.uncounted)
    return advance(tx, run, 'QUEUED', { ...cut, reason: message, maxAttempts: run.maxAttempts + 1 })
  const failure = { code, message }
  if (!loss.final && run.attempt < run.maxAttempts)
    return advance(tx, run, 'QUEUED', { ...cut, reason: message, failure })
  return advance(tx, run, 'FAILED', { ...cut, failure })
}
