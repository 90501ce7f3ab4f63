/** How tables refer to each other, for drizzle's relational queries and for plugin-drizzle's joins. */
import { defineRelations } from 'drizzle-orm'
import * as tables from './tables.ts'

export const relations = defineRelations(tables, (r) => ({
  accounts: {
    apiKeys: r.many.apiKeys(),
    runs: r.many.runs(),
  },
  apiKeys: {
    account: r.one.accounts({ from: r.apiKeys.accountId, to: r.accounts.id, optional: false }),
  },
  sessions: {
    key: r.one.apiKeys({ from: r.sessions.keyId, to: r.apiKeys.id, optional: false }),
  },
  baseModels: {
    adapters: r.many.adapters(),
    evaluations: r.many.evaluations({
      from: r.baseModels.id,
      to: r.evaluations.baseModelId,
      where: { adapterId: { isNull: true } },
    }),
  },
  datasets: {
    runs: r.many.runs(),
  },
  adapters: {
    baseModel: r.one.baseModels({
      from: r.adapters.baseModelId,
      to: r.baseModels.id,
      optional: false,
    }),
    run: r.one.runs({ from: r.adapters.runId, to: r.runs.id, alias: 'made' }),
    files: r.many.artifacts(),
    parent: r.one.adapters({ from: r.adapters.parentId, to: r.adapters.id, alias: 'parent' }),
    evaluations: r.many.evaluations(),
  },
  runs: {
    account: r.one.accounts({ from: r.runs.accountId, to: r.accounts.id, optional: false }),
    baseModel: r.one.baseModels({ from: r.runs.baseModelId, to: r.baseModels.id, optional: false }),
    dataset: r.one.datasets({ from: r.runs.datasetId, to: r.datasets.id }),
    adapter: r.one.adapters({ from: r.runs.id, to: r.adapters.runId, alias: 'made' }),
    evaluated: r.one.adapters({ from: r.runs.adapterId, to: r.adapters.id, alias: 'evaluated' }),
    comparison: r.one.comparisons({ from: r.runs.id, to: r.comparisons.runId }),
    lead: r.one.runs({ from: r.runs.leadId, to: r.runs.id, alias: 'lead' }),
    siblings: r.many.runs({ from: r.runs.leadId, to: r.runs.leadId, alias: 'siblings' }),
    evaluations: r.many.evaluations(),
    artifacts: r.many.artifacts(),
    events: r.many.events(),
    metrics: r.many.metrics(),
  },
  artifacts: {
    run: r.one.runs({ from: r.artifacts.runId, to: r.runs.id }),
    adapter: r.one.adapters({ from: r.artifacts.adapterId, to: r.adapters.id }),
  },
  events: {
    run: r.one.runs({ from: r.events.runId, to: r.runs.id, optional: false }),
  },
  metrics: {
    run: r.one.runs({ from: r.metrics.runId, to: r.runs.id, optional: false }),
  },
  evaluations: {
    run: r.one.runs({ from: r.evaluations.runId, to: r.runs.id, optional: false }),
    baseModel: r.one.baseModels({
      from: r.evaluations.baseModelId,
      to: r.baseModels.id,
      optional: false,
    }),
    adapter: r.one.adapters({ from: r.evaluations.adapterId, to: r.adapters.id }),
    scores: r.many.scores(),
    samples: r.many.samples(),
  },
  scores: {
    evaluation: r.one.evaluations({
      from: r.scores.evaluationId,
      to: r.evaluations.id,
      optional: false,
    }),
  },
  samples: {
    evaluation: r.one.evaluations({
      from: r.samples.evaluationId,
      to: r.evaluations.id,
      optional: false,
    }),
  },
  comparisons: {
    account: r.one.accounts({ from: r.comparisons.accountId, to: r.accounts.id, optional: false }),
    run: r.one.runs({ from: r.comparisons.runId, to: r.runs.id }),
    baselineModel: r.one.baseModels({
      from: r.comparisons.baselineModelId,
      to: r.baseModels.id,
      optional: false,
      alias: 'baseline',
    }),
    baselineAdapter: r.one.adapters({
      from: r.comparisons.baselineAdapterId,
      to: r.adapters.id,
      alias: 'baseline',
    }),
    candidateModel: r.one.baseModels({
      from: r.comparisons.candidateModelId,
      to: r.baseModels.id,
      optional: false,
      alias: 'candidate',
    }),
    candidateAdapter: r.one.adapters({
      from: r.comparisons.candidateAdapterId,
      to: r.adapters.id,
      alias: 'candidate',
    }),
    tasks: r.many.comparisonTasks(),
  },
  comparisonTasks: {
    comparison: r.one.comparisons({
      from: r.comparisonTasks.comparisonId,
      to: r.comparisons.id,
      optional: false,
    }),
    baselineEvaluation: r.one.evaluations({
      from: r.comparisonTasks.baselineEvaluationId,
      to: r.evaluations.id,
      optional: false,
      alias: 'baseline',
    }),
    candidateEvaluation: r.one.evaluations({
      from: r.comparisonTasks.candidateEvaluationId,
      to: r.evaluations.id,
      optional: false,
      alias: 'candidate',
    }),
  },
}))
