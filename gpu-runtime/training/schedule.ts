/** Learning-rate schedules, as transformers.get_scheduler has them under linear, cosine and constant_with_warmup. */
import type { Recipe } from '#schema/spec.ts'

type Decay = (step: number, warmup: number, total: number) => number

const progress = (step: number, warmup: number, total: number) =>
  (step - warmup) / Math.max(1, total - warmup)

const decays: { readonly [S in Recipe['schedule']]: Decay } = {
  LINEAR: (step, warmup, total) => Math.max(0, 1 - progress(step, warmup, total)),
  COSINE: (step, warmup, total) =>
    Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress(step, warmup, total)))),
  CONSTANT: () => 1,
}

/** The rate of optimizer step `step` (1, 2, ..., total). The first step of a warm-up has rate 0, as transformers' has. */
export function learningRate(
  { learningRate: peak, schedule, warmupSteps }: Recipe,
  step: number,
  total: number,
): number {
  const done = step - 1
  return done < warmupSteps
    ? (peak * done) / Math.max(1, warmupSteps)
    : peak * decays[schedule](done, warmupSteps, total)
}
