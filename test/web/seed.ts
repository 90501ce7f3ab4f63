/** An installation with something to show: boards, comparisons, and runs that run, wait, ended and failed. */
import { createApiKey } from '#api/accounts/keys.ts'
import type { Db } from '#api/database.ts'
import { compareRun } from '#api/evaluation/compare.ts'
import { TrainSpec } from '#schema/spec.ts'
import { events, metrics, runs } from '#schema/tables.ts'
import { eq } from 'drizzle-orm'
import { createWorld, flipped, settings, type Answers } from '#test/evaluation/world.ts'

export const hostile = `<script>alert("x")</script>'><img src=x onerror=alert(1)>`

/** Right with probability `rate`, the same for the same seed: a linear congruential generator (Numerical Recipes). */
export function answered(n: number, rate: number, seed: number): (0 | 1)[] {
  let state = seed
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 < rate ? 1 : 0
  })
}

/** `wins` wrong answers become right, then `losses` right ones wrong. */
const changed = (of: Answers, wins: number, losses: number): Answers => {
  const won = flipped(of, 1, wins)
  return [...won.slice(0, 250), ...flipped(won.slice(250), 0, losses)]
}

export async function seed(db: Db) {
  const world = await createWorld(db)
  const actor = { accountId: world.accountId }
  const { clear } = await createApiKey({ db }, actor, { name: 'browser' })
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000)

  const base = await world.model('stories-15M')
  const large = await world.model('stories-110M')
  const arc = settings({ task: 'arc_easy' })
  const book = settings()
  const spec = TrainSpec.parse({
    kind: 'TRAIN',
    model: { path: base.path, revision: base.revision },
    dataset: { path: world.dataset.path, sha256: world.dataset.sha256 },
    recipe: { maxSteps: 300 },
    lora: {},
    engine: {},
    evaluate: [arc, book].map((given) => ({
      settings: given,
      rows: `/data/${given.task}.test.jsonl`,
    })),
  })
  const took = (start: number, end: number | null) => ({
    spec,
    createdAt: minutesAgo(start + 1),
    startedAt: minutesAgo(start),
    finishedAt: end === null ? null : minutesAgo(end),
  })

  const tuned = await world.adapter(base, 'orpo-lr8e-6', took(190, 150))
  const strong = await world.adapter(base, 'orpo-beta-0.3', took(140, 96))
  const worse = await world.adapter(base, 'orpo-lr1e-3', took(90, 51))
  const other = await world.adapter(large, 'orpo-110M', took(48, 12))
  const bookBase = answered(500, 0.31, 7)
  const arcBase = answered(2376, 0.38, 8)
  await world.evaluation(tuned.run.id, { baseModelId: base.id, adapterId: null }, bookBase, {
    settings: book,
  })
  await world.evaluation(tuned.run.id, { baseModelId: base.id, adapterId: null }, arcBase, {
    settings: arc,
  })
  await world.evaluation(
    other.run.id,
    { baseModelId: large.id, adapterId: null },
    answered(2376, 0.455, 9),
    { settings: arc },
  )
  const scored = [
    [tuned, 21, 12, 95, 60],
    [strong, 48, 15, 190, 60],
    [worse, 9, 41, 80, 150],
  ] as const
  for (const [adapter, wins, losses, arcWins, arcLosses] of scored) {
    const subject = { baseModelId: base.id, adapterId: adapter.id }
    await world.evaluation(adapter.run.id, subject, changed(bookBase, wins, losses), {
      settings: book,
    })
    await world.evaluation(adapter.run.id, subject, changed(arcBase, arcWins, arcLosses), {
      settings: arc,
    })
  }
  await world.evaluation(
    other.run.id,
    { baseModelId: large.id, adapterId: other.id },
    changed(answered(2376, 0.455, 9), 70, 52),
    { settings: arc },
  )
  for (const { run } of [tuned, strong, worse, other]) await compareRun(db, run.id)

  await train(db, strong.run.id, 300)
  await log(db, strong.run.id)

  const running = await world.run(base, {
    ...took(9, null),
    name: 'orpo-cosine',
    status: 'RUNNING',
    attempt: 2,
  })
  await train(db, running.id, 140)
  await log(db, running.id, {
    phase: 'TRAIN',
    done: 140,
    total: 300,
    unit: 'steps',
    tokensPerSecond: 5210,
    etaSeconds: 615,
  })
  await world.run(base, {
    spec,
    name: hostile,
    status: 'QUEUED',
    attempt: 0,
    createdAt: minutesAgo(1),
  })
  const failure = {
    code: 'NON_FINITE',
    message: 'step 41: rewards/margins is not finite (learning rate 0.5)',
  }
  const failed = await world.run(base, {
    ...took(30, 29),
    name: 'orpo-lr0.5',
    status: 'FAILED',
    failure,
  })

  return { ...world, key: clear, base, large, tuned, strong, worse, other, running, failed }
}

/** Curves in the shape that ORPO's have, with held-out values five times in 300 steps. */
async function train(db: Db, runId: string, steps: number): Promise<void> {
  const noise = (step: number, k: number) =>
    Math.sin(step * (12.9898 + k)) * Math.cos(step * (4.1414 + k * 7))
  const rows = Array.from({ length: steps }, (_, i) => i + 1).flatMap((step) => {
    const t = step / 300
    const values: Record<string, number> = {
      loss: 1.35 + 0.9 * Math.exp(-4 * t) + 0.11 * noise(step, 1),
      nll_loss: 1.28 + 0.86 * Math.exp(-4 * t) + 0.1 * noise(step, 2),
      log_odds_chosen: -0.1 + 0.55 * t + 0.2 * noise(step, 3),
      'rewards/margins': -0.004 + 0.03 * t + 0.012 * noise(step, 4),
      'rewards/accuracies': Math.round((0.5 + 0.2 * t + 0.22 * noise(step, 5)) * 8) / 8,
      learning_rate: step <= 10 ? 8e-6 * (step / 10) : 8e-6 * (1 - (step - 10) / 290),
      grad_norm: 0.9 + 0.3 * noise(step, 6),
      log_odds_ratio: -0.68 + 0.2 * t,
      'logps/chosen': -1.9 + 0.3 * t,
      'logps/rejected': -2.0 + 0.1 * t,
    }
    if (step % 60 === 0)
      Object.assign(values, {
        eval_loss: 1.42 + 0.88 * Math.exp(-4 * t),
        'eval_rewards/margins': 0.024 * t,
        'eval_rewards/accuracies': 0.5 + 0.18 * t,
        eval_log_odds_chosen: 0.4 * t - 0.08,
        eval_nll_loss: 1.33 + 0.85 * Math.exp(-4 * t),
      })
    return Object.entries(values).map(([name, value]) => ({ runId, name, step, value }))
  })
  await db.insert(metrics).values(rows)
}

async function log(db: Db, runId: string, progress?: Record<string, unknown>): Promise<void> {
  const lines = [
    ['API', 'status', { from: 'QUEUED', to: 'STARTING' }],
    [
      'RUNTIME',
      'started',
      { runtime: 'oddsmith 0.1.0', device: 'cpu', threads: 2, resumedFromStep: null },
    ],
    ['API', 'status', { from: 'STARTING', to: 'RUNNING' }],
    [
      'RUNTIME',
      'log',
      {
        level: 'info',
        message: 'model stories-15M: 6 layers, 288 wide, 15.2 M parameters, float32',
      },
    ],
    ['RUNTIME', 'dataset', { rows: 2424, train: 2400, test: 24, steps: 300 }],
    ['RUNTIME', 'cuts', { looked: 1000, pairs: 3, tokens: 61 }],
    [
      'RUNTIME',
      'log',
      { level: 'info', message: 'LoRA on 42 linears, r 16: 1.3 M trained parameters' },
    ],
    ['RUNTIME', 'log', { level: 'info', message: 'step 60: held-out loss 1.812' }],
    ['RUNTIME', 'log', { level: 'info', message: 'step 120: held-out loss 1.597' }],
    ...(progress === undefined ? [] : [['RUNTIME', 'progress', progress] as const]),
  ] as const
  const first = Date.now() - 540_000
  await db.insert(events).values(
    lines.map(([source, type, body], i) => ({
      runId,
      cursor: i + 1,
      attempt: 1,
      source,
      sourceSeq: i + 1,
      type,
      body: { ...body },
      at: new Date(first + i * 2_700),
    })),
  )
  await db
    .update(runs)
    .set({ nextCursor: lines.length + 1 })
    .where(eq(runs.id, runId))
}
