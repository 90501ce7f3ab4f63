/** Which pairs each optimizer step takes: a pure function of the recipe, so that a resumed run goes on where it stopped. */
import type { Recipe } from '#schema/spec.ts'
import { stream } from '../random.ts'

export type Plan = {
  /** Optimizer steps in all. */
  readonly steps: number
  /** Positions in the training rows that the first epoch visits, in order. */
  firstEpoch(): Int32Array
  /** Micro-batches of step 1, 2, ..., as positions in the training rows. */
  microBatches(step: number): number[][]
  /** Passes over the rows after a step, in micro-batches: a last step of fewer is a smaller part of its epoch. */
  epoch(step: number): number
}

/**
 * As transformers' Trainer counts: micro-batches of `batchSize`, the last of an epoch may be smaller; a step takes
 * `accumulation` of them, the last step of an epoch what is left. Rows are shuffled anew for each epoch, or stay in order.
 */
export function plan(rows: number, recipe: Recipe, shuffle: boolean): Plan {
  const { batchSize, accumulation, epochs, maxSteps, seed } = recipe
  const batches = Math.ceil(rows / batchSize)
  const stepsPerEpoch = Math.ceil(batches / accumulation)
  const order = (epoch: number): Int32Array =>
    shuffle
      ? stream(seed, `epoch/${epoch}`).shuffle(rows)
      : Int32Array.from({ length: rows }, (_, i) => i)
  let cached = { epoch: -1, rows: new Int32Array() as Int32Array }
  const steps = maxSteps ?? Math.ceil(epochs * stepsPerEpoch)
  return {
    steps,
    firstEpoch: () => order(0).subarray(0, Math.min(rows, steps * accumulation * batchSize)),
    microBatches(step) {
      const epoch = Math.floor((step - 1) / stepsPerEpoch)
      if (cached.epoch !== epoch) cached = { epoch, rows: order(epoch) }
      const first = ((step - 1) % stepsPerEpoch) * accumulation
      return Array.from({ length: Math.min(accumulation, batches - first) }, (_, i) =>
        Array.from(cached.rows.subarray((first + i) * batchSize, (first + i + 1) * batchSize)),
      )
    },
    epoch(step) {
      const whole = Math.floor((step - 1) / stepsPerEpoch)
      const done = (step - whole * stepsPerEpoch) * accumulation
      return whole + Math.min(batches, done) / batches
    },
  }
}
