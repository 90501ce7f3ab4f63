/**
 * Learning-rate schedules and the options of each: those of transformers.get_scheduler whose rate is a function of the step alone.
 * The two that follow the loss (reduce_lr_on_plateau, greedy) are not among them.
 */
import { z } from 'zod'

export const scheduleNames = [
  'LINEAR',
  'COSINE',
  'COSINE_WITH_RESTARTS',
  'COSINE_WITH_MIN_LR',
  'COSINE_WARMUP_WITH_MIN_LR',
  'POLYNOMIAL',
  'INVERSE_SQRT',
  'WARMUP_STABLE_DECAY',
  'CONSTANT',
  'CONSTANT_WITH_WARMUP',
] as const
export type ScheduleName = (typeof scheduleNames)[number]

export const Schedule = z.enum(scheduleNames, {
  error: `expected one of ${scheduleNames.join(', ')}; schedules that follow the loss (reduce_lr_on_plateau, greedy) are not among them`,
})

/** How a rate goes from one level to another. */
export const curves = ['LINEAR', 'COSINE', 'ONE_MINUS_SQRT'] as const

const steps = z.number().int().positive()

/** What is left out has the value that transformers gives it; its names are in the comments. */
export const ScheduleOptions = z.strictObject({
  /** num_cycles: waves of the cosine (0.5: down once), or descents between restarts. */
  cycles: z.number().positive().optional(),
  /** power: of what is left of the run. */
  power: z.number().positive().optional(),
  /** lr_end: the learning rate at the end. */
  endRate: z.number().nonnegative().optional(),
  /** min_lr: the learning rate at the bottom; or as a part of the peak, min_lr_rate (min_lr_ratio). */
  minRate: z.number().nonnegative().optional(),
  minRatio: z.number().min(0).max(1).optional(),
  /** warmup_lr_rate: where the warm-up begins, as a part of the peak. */
  warmupStart: z.number().min(0).max(1).optional(),
  /** timescale: steps after which the rate has fallen by √2. */
  timescale: steps.optional(),
  /** num_decay_steps and num_stable_steps; the stable part is what the others leave when it is not given. */
  decaySteps: steps.optional(),
  stableSteps: steps.optional(),
  /** warmup_type and decay_type. */
  warmupCurve: z.enum(curves).optional(),
  decayCurve: z.enum(curves).optional(),
})
export type ScheduleOptions = z.infer<typeof ScheduleOptions>
type Option = keyof ScheduleOptions

/** The options that a schedule takes. */
const takes: { readonly [S in ScheduleName]: readonly Option[] } = {
  LINEAR: [],
  COSINE: ['cycles'],
  COSINE_WITH_RESTARTS: ['cycles'],
  COSINE_WITH_MIN_LR: ['cycles', 'minRate', 'minRatio'],
  COSINE_WARMUP_WITH_MIN_LR: ['cycles', 'minRate', 'minRatio', 'warmupStart'],
  POLYNOMIAL: ['power', 'endRate'],
  INVERSE_SQRT: ['timescale'],
  WARMUP_STABLE_DECAY: [
    'decaySteps',
    'stableSteps',
    'warmupCurve',
    'decayCurve',
    'minRatio',
    'cycles',
  ],
  CONSTANT: [],
  CONSTANT_WITH_WARMUP: [],
}

/** lr_end of transformers. */
export const defaultEndRate = 1e-7

type Scheduled = {
  readonly schedule: ScheduleName
  readonly scheduleOptions: ScheduleOptions
  readonly learningRate: number
}

/** What is wrong with a schedule's options, by option. */
export function optionIssues({
  schedule,
  scheduleOptions: options,
  learningRate,
}: Scheduled): { readonly option: Option; readonly message: string }[] {
  const taken = takes[schedule]
  const issues = (Object.keys(options) as Option[])
    .filter((option) => options[option] !== undefined && !taken.includes(option))
    .map((option) => ({
      option,
      message: `expected none: ${schedule} takes ${taken.join(', ') || 'no options'}`,
    }))
  const { minRate, minRatio, decaySteps, endRate = defaultEndRate } = options
  if (taken.includes('minRate') && (minRate === undefined) === (minRatio === undefined))
    issues.push({ option: 'minRate', message: `expected either minRate or minRatio: ${schedule}` })
  if (taken.includes('minRate') && (minRate ?? 0) > learningRate)
    issues.push({
      option: 'minRate',
      message: `expected at most the learning rate, ${learningRate}, got ${minRate}`,
    })
  if (taken.includes('decaySteps') && decaySteps === undefined)
    issues.push({ option: 'decaySteps', message: `expected a number of steps: ${schedule}` })
  if (taken.includes('endRate') && endRate >= learningRate)
    issues.push({
      option: 'endRate',
      message: `expected less than the learning rate, ${learningRate}, got ${endRate}`,
    })
  return issues
}
