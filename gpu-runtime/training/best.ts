/** Which evaluation was the best, and when to stop waiting for a better one. */
import { goalOf, type Recipe } from '#schema/spec.ts'

export type Standing = {
  /** The optimizer step of the best evaluation, and its value. */
  readonly step: number
  readonly value: number
  /** Evaluations since one was better by more than minDelta. */
  readonly waited: number
}

/**
 * After an evaluation, as transformers' Trainer does with load_best_model_at_end and EarlyStoppingCallback: the best is whatever beats
 * it at all, the first of equals; waiting ends only by what beats the best before it by more than `minDelta`.
 *
 *     eval_loss       1.00  0.90  0.89  0.89  0.70     MIN, minDelta 0.05
 *     best             *     *     *           *
 *     waited           0     0     1     2     0
 */
export function judge(
  before: Standing | null,
  step: number,
  value: number,
  { keepBest, earlyStopping }: Pick<Recipe, 'keepBest' | 'earlyStopping'>,
): Standing {
  if (before === null) return { step, value, waited: 0 }
  const gain = goalOf(keepBest!) === 'MIN' ? before.value - value : value - before.value
  const waited = gain > 0 && gain > (earlyStopping?.minDelta ?? 0) ? 0 : before.waited + 1
  return gain > 0 ? { step, value, waited } : { ...before, waited }
}

export const exhausted = (standing: Standing | null, { earlyStopping }: Recipe): boolean =>
  earlyStopping !== null && standing !== null && standing.waited >= earlyStopping.patience
