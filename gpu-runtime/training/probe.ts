/** What is measured of an adapter between two steps, beside the loss; training neither waits for its values nor changes by them. */
import type { Values } from './metrics.ts'

export type Probe = {
  /** Below 1 a fraction of the run, else a number of steps. */
  readonly every: number
  /** Values by metric name of the adapter as it is now, flat and a copy; null: interrupted before all were known. */
  measure(trainables: Float32Array<ArrayBuffer>): Promise<Values | null>
}

/** Whether the adapter is measured after this step: before the first (0), after every so many and after the last of the plan. */
export function probeDue({ every }: Pick<Probe, 'every'>, step: number, steps: number): boolean {
  const stride = every < 1 ? Math.ceil(steps * every) : every
  return step % stride === 0 || step === steps
}
