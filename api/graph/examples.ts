/** The tabs that GraphiQL opens with: the main job, step by step, on the embedded demo. */

const train = `# 1. Train an ORPO adapter on the embedded demo, and score base model and adapter afterwards.
# Paths are inside the folders that this installation allows; left-out settings have the article's values.
mutation Train {
  trainAdapter(
    input: {
      idempotencyKey: "my first run"
      model: { path: "demo/zoo-334k" }
      dataset: { path: "demo/preferences.jsonl" }
      recipe: {
        learningRate: 0.002, batchSize: 8, accumulation: 1, maxSteps: 150, maxLength: 128, maxPromptLength: 96
      }
      evaluate: { tasks: [{ task: "who_is_bigger" }] }
    }
  ) {
    __typename
    ... on Run { id name status }
    ... on InvalidInput { issues { path message } }
    ... on Problem { message }
  }
}
`

const watch = `# 2. Watch it: everything that happened, then everything that happens. Put the run's id below.
subscription Watch($id: ID!) {
  runEvents(id: $id) {
    cursor
    at
    type
    status
    step
    metrics { name value }
    progress { phase done total unit etaSeconds }
    message
  }
}
`

const compare = `# 3. Did it help? Differences are paired sample by sample; if low and high are on both sides of 0, nobody knows.
query Compare {
  runs(first: 5, filter: { kind: TRAIN, status: [SUCCEEDED] }) {
    nodes {
      id
      name
      curves(names: ["loss", "rewards/margins"], maxPoints: 20) { name points { step value } }
      comparison {
        id
        tasks { task metric n baseline candidate difference low high level pValue gained lost }
      }
    }
  }
}
`

export const tabs = [
  { query: train },
  { query: watch, variables: JSON.stringify({ id: 'Run:...' }, null, 2) },
  { query: compare },
]
