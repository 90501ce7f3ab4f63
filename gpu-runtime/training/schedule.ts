/** Learning-rate schedules, as transformers.get_scheduler has them under the same names. */
import { defaultEndRate, type ScheduleName, type ScheduleOptions } from '#schema/schedules.ts'
import type { Recipe } from '#schema/spec.ts'

type Run = {
  readonly warmup: number
  readonly total: number
  readonly peak: number
  readonly options: ScheduleOptions
}
/** A part of the peak rate; `done` optimizer steps came before. */
type Rule = (done: number, run: Run) => number

/** Up from zero in a straight line, then as `after` says. */
const warmed =
  (after: Rule): Rule =>
  (done, run) =>
    done < run.warmup ? done / Math.max(1, run.warmup) : after(done, run)

/** Done of what follows the warm-up, 0 to 1. */
const progress = (done: number, { warmup, total }: Run): number =>
  (done - warmup) / Math.max(1, total - warmup)

const wave = (x: number, cycles = 0.5): number => 0.5 * (1 + Math.cos(2 * Math.PI * cycles * x))

/** From 1 at x = 0 to 0 at x = 1; from the right, the way up. */
const falls: { readonly [C in Curve]: (x: number, cycles?: number) => number } = {
  LINEAR: (x) => 1 - x,
  COSINE: wave,
  ONE_MINUS_SQRT: (x) => 1 - Math.sqrt(x),
}
type Curve = NonNullable<ScheduleOptions['decayCurve']>

/** 0 to 1 on to `floor` to 1. */
const above = (floor: number, part: number): number => part * (1 - floor) + floor

const floorOf = ({ peak, options: { minRate, minRatio = 0 } }: Run): number =>
  minRate === undefined ? minRatio : minRate / peak

const rules: { readonly [S in ScheduleName]: Rule } = {
  LINEAR: warmed((done, run) => Math.max(0, 1 - progress(done, run))),
  COSINE: warmed((done, run) => Math.max(0, wave(progress(done, run), run.options.cycles))),
  COSINE_WITH_RESTARTS: warmed((done, run) =>
    Math.max(0, wave(((run.options.cycles ?? 1) * progress(done, run)) % 1)),
  ),
  COSINE_WITH_MIN_LR: warmed((done, run) =>
    Math.max(0, above(floorOf(run), wave(progress(done, run), run.options.cycles))),
  ),
  // Starts above zero and counts the step itself.
  COSINE_WARMUP_WITH_MIN_LR(done, run) {
    const { warmup, options } = run
    const { warmupStart, cycles } = options
    if (done < warmup)
      return warmupStart === undefined
        ? (done + 1) / Math.max(1, warmup)
        : above(warmupStart, done / Math.max(1, warmup - 1))
    return Math.max(0, above(floorOf(run), wave(progress(done + 1, run), cycles)))
  },
  POLYNOMIAL: warmed((done, run) => {
    const { power = 1, endRate = defaultEndRate } = run.options
    return above(endRate / run.peak, (1 - progress(done, run)) ** power)
  }),
  INVERSE_SQRT: warmed((done, { warmup, options }) => {
    const timescale = options.timescale ?? (warmup || 10_000)
    return 1 / Math.sqrt((done + timescale - warmup) / timescale)
  }),
  WARMUP_STABLE_DECAY(done, { warmup, total, options }) {
    const { minRatio = 0, decaySteps = 0, warmupCurve = 'LINEAR', decayCurve = 'COSINE' } = options
    const { stableSteps = total - warmup - decaySteps, cycles } = options
    if (done < warmup) return above(minRatio, falls[warmupCurve](1 - done / warmup))
    const decayed = (done - warmup - stableSteps) / Math.max(1, decaySteps)
    if (decayed < 0) return 1
    return decayed < 1 ? Math.max(0, above(minRatio, falls[decayCurve](decayed, cycles))) : minRatio
  },
  CONSTANT: () => 1,
  CONSTANT_WITH_WARMUP: warmed(() => 1),
}

/** Steps of the warm-up in a run of `total`. */
const warmupOf = ({ warmupSteps, warmupRatio }: Recipe, total: number): number =>
  warmupRatio === null ? warmupSteps : Math.ceil(total * warmupRatio)

/** The rate of optimizer step `step` (1, 2, ..., total). The first step of most warm-ups has rate 0, as transformers' has. */
export function learningRate(recipe: Recipe, step: number, total: number): number {
  const { learningRate: peak, schedule, scheduleOptions: options } = recipe
  return peak * rules[schedule](step - 1, { warmup: warmupOf(recipe, total), total, peak, options })
}
