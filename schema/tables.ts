/** All tables under one name, for drizzle: relations, migrations and the typed client are made from this. */
export { accounts, apiKeys, sessions } from './accounts.ts'
export {
  comparisonTasks,
  comparisons,
  evaluationShards,
  evaluations,
  samples,
  scores,
} from './evaluations.ts'
export { events, metrics } from './events.ts'
export { adapters, baseModels, datasets } from './models.ts'
export { artifacts, inspections, runs } from './runs.ts'
