/** Scores: one evaluation is one subject (base model, or adapter on it) on one task under one set of settings. */
import {
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  primaryKey,
  snakeCase,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { accounts } from './accounts.ts'
import { adapters, baseModels } from './models.ts'
import { runs } from './runs.ts'
import type { EvaluationSettings } from './spec.ts'

const { table } = snakeCase

export type SequentialDecision = {
  readonly verdict: 'PASS' | 'FAIL' | 'UNDECIDED'
  /** CERTAIN: no remaining score can change it. INTERVAL: the difference's interval, which holds at every look, decides. */
  readonly because: 'CERTAIN' | 'INTERVAL'
  /** Pairs it rests on. */
  readonly used: number
  readonly difference: number
  readonly low: number
  readonly high: number
}

export const evaluations = table(
  'evaluations',
  {
    id: uuid().primaryKey().defaultRandom(),
    runId: uuid()
      .notNull()
      .references(() => runs.id),
    /** The order's key within the run's job. */
    key: text().notNull(),
    baseModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    /** Null: the base model itself. */
    adapterId: uuid().references(() => adapters.id),
    task: text().notNull(),
    settings: jsonb().$type<EvaluationSettings>().notNull(),
    /** sha256 of the canonical settings: equal means comparable and reusable. */
    settingsHash: text().notNull(),
    /** Hash of all that decides about a sample beside its document; null where that was not recorded. */
    answersKey: text(),
    promptHash: text().notNull(),
    documents: integer().notNull(),
    /** Documents that share words with what the adapter was trained on; null where nobody looked. */
    contaminated: integer(),
    /** Of a sequential gate: the documents that were drawn and scored so far, in the order drawn. */
    drawn: jsonb().$type<number[]>(),
    /** What a sequential gate came to before all documents were scored. */
    decision: jsonb().$type<SequentialDecision>(),
    /** It ended at the decision, with a part of its documents: it never counts as finished. */
    stoppedEarly: boolean().notNull().default(false),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
    /** Null while samples are still coming; only finished evaluations are compared, ranked or reused. */
    finishedAt: timestamp({ withTimezone: true }),
  },
  (t) => [
    unique('evaluations_order').on(t.runId, t.key),
    index('evaluations_subject').on(t.baseModelId, t.adapterId, t.settingsHash),
    index('evaluations_settings').on(t.settingsHash),
  ],
)

/** One metric of a finished evaluation: the aggregate of its samples' scores, as schema/metrics.ts says. */
export const scores = table(
  'scores',
  {
    evaluationId: uuid()
      .notNull()
      .references(() => evaluations.id, { onDelete: 'cascade' }),
    metric: text().notNull(),
    n: integer().notNull(),
    value: doublePrecision().notNull(),
    /** Null for a single sample, and where the metric has none. */
    standardError: doublePrecision(),
    /** The same over the samples that share nothing with what the adapter was trained on; null where nobody looked, or none is left. */
    cleanN: integer(),
    cleanValue: doublePrecision(),
    cleanStandardError: doublePrecision(),
  },
  (t) => [primaryKey({ columns: [t.evaluationId, t.metric] })],
)

export const samples = table(
  'samples',
  {
    evaluationId: uuid()
      .notNull()
      .references(() => evaluations.id, { onDelete: 'cascade' }),
    document: integer().notNull(),
    /** Hash of the rendered requests: samples are paired only where it agrees. */
    hash: text().notNull(),
    /** Hash of all that decides about it: equal keys, equal samples. Null where that is not known. */
    key: text(),
    gold: integer(),
    picked: integer(),
    choices: jsonb()
      .$type<{ logLikelihood: number | null; tokens: number; greedy?: boolean | undefined }[]>()
      .notNull(),
    scores: jsonb().$type<Record<string, number | null>>().notNull(),
    /** Weights other than 1 by metric; null for none. */
    weights: jsonb().$type<Record<string, number>>(),
    question: text().notNull(),
    answers: jsonb().$type<string[]>().notNull(),
    /** What the model wrote; null where it chose. */
    response: text(),
    /** The part of its words that are in what the adapter was trained on; null where nobody looked. */
    contamination: doublePrecision(),
    /** The first row that has some of them; null where none has. */
    contaminatedBy: jsonb().$type<{ dataset: string; row: number }>(),
  },
  (t) => [primaryKey({ columns: [t.evaluationId, t.document] }), index('samples_key').on(t.key)],
)

/** Parts of an evaluation that are scored: it is finished when all of them are. */
export const evaluationShards = table(
  'evaluation_shards',
  {
    evaluationId: uuid()
      .notNull()
      .references(() => evaluations.id, { onDelete: 'cascade' }),
    index: integer().notNull(),
    runId: uuid()
      .notNull()
      .references(() => runs.id),
    finishedAt: timestamp({ withTimezone: true }).notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.evaluationId, t.index] })],
)

/** A candidate against a baseline on shared samples. */
export const comparisons = table(
  'comparisons',
  {
    id: uuid().primaryKey().defaultRandom(),
    accountId: uuid()
      .notNull()
      .references(() => accounts.id),
    /** The training run that asked for it; null when made by `compare`. */
    runId: uuid().references(() => runs.id),
    baselineModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    baselineAdapterId: uuid().references(() => adapters.id),
    candidateModelId: uuid()
      .notNull()
      .references(() => baseModels.id),
    candidateAdapterId: uuid().references(() => adapters.id),
    createdAt: timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (t) => [
    unique('comparisons_run').on(t.runId),
    index('comparisons_created').on(t.createdAt.desc(), t.id.desc()),
  ],
)

export const comparisonTasks = table(
  'comparison_tasks',
  {
    comparisonId: uuid()
      .notNull()
      .references(() => comparisons.id, { onDelete: 'cascade' }),
    task: text().notNull(),
    metric: text().notNull(),
    baselineEvaluationId: uuid()
      .notNull()
      .references(() => evaluations.id),
    candidateEvaluationId: uuid()
      .notNull()
      .references(() => evaluations.id),
    /** Pairs: documents that both sides scored under the same hash. */
    n: integer().notNull(),
    /** Documents of either side that could not be paired. */
    leftOut: integer().notNull().default(0),
    /** Σ score / Σ weight over paired samples: for perplexities the log-likelihood per unit. */
    baseline: doublePrecision().notNull(),
    candidate: doublePrecision().notNull(),
    /** candidate - baseline, with its interval at `level`: Tango's for right/wrong scores, else the analytic one. */
    difference: doublePrecision().notNull(),
    low: doublePrecision().notNull(),
    high: doublePrecision().notNull(),
    level: doublePrecision().notNull(),
    /** By the paired bootstrap; null where it was not made. */
    bootstrapLow: doublePrecision(),
    bootstrapHigh: doublePrecision(),
    test: text({ enum: ['MCNEMAR', 'SIGN_FLIP'] })
      .notNull()
      .default('MCNEMAR'),
    /** Two-sided. */
    pValue: doublePrecision().notNull(),
    /** Holm's over the headline metrics of the comparison; null for other metrics. */
    adjustedP: doublePrecision(),
    /** The smallest true difference that as many pairs show at 80% power; null where nothing can be said of it. */
    detectable: doublePrecision(),
    /** Samples that the candidate, or the baseline, scored higher. */
    gained: integer().notNull(),
    lost: integer().notNull(),
    /** The same over the pairs that share nothing with what either side was trained on; null where nobody looked, or none is left. */
    cleanN: integer(),
    cleanBaseline: doublePrecision(),
    cleanCandidate: doublePrecision(),
    cleanDifference: doublePrecision(),
    cleanLow: doublePrecision(),
    cleanHigh: doublePrecision(),
    cleanPValue: doublePrecision(),
  },
  (t) => [primaryKey({ columns: [t.comparisonId, t.task, t.metric] })],
)
