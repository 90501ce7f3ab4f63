/** Rows for tests of statistics and pages: models, runs, adapters and evaluations whose samples the test chooses. */
import { createHash, randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import type { Db } from '#api/database.ts'
import { finishEvaluation } from '#api/evaluation/finish.ts'
import { settingsHash } from '#api/evaluation/settings.ts'
import { EvaluationSettings, TrainSpec, type RunSpec } from '#schema/spec.ts'
import {
  accounts,
  adapters,
  baseModels,
  datasets,
  evaluations,
  runs,
  samples,
} from '#schema/tables.ts'

export const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

export const settings = (given: Partial<EvaluationSettings> = {}): EvaluationSettings => ({
  task: 'openbookqa',
  version: 1,
  limit: null,
  rowsSha256: sha('rows'),
  fewShot: 0,
  fewShotSeed: 1234,
  examplesSha256: null,
  chatTemplate: false,
  fewShotAsMultiturn: false,
  systemInstruction: null,
  bos: 'TOKENIZER',
  dialect: 'LM_EVAL',
  dtype: 'FLOAT32',
  ...given,
})

/** 1 for right, 0 for wrong, null for a score that is not finite; by document, from 0. */
export type Answers = readonly (0 | 1 | null)[]

/** `right` ones, then zeros. */
export const answers = (n: number, right: number): (0 | 1)[] =>
  Array.from({ length: n }, (_, i) => (i < right ? 1 : 0))

/** The same, with the first `times` documents that are not `to` turned to it. */
export function flipped(of: Answers, to: 0 | 1, times: number): Answers {
  let left = times
  return of.map((answer) => (answer !== null && answer !== to && left-- > 0 ? to : answer))
}

export type World = Awaited<ReturnType<typeof createWorld>>

export async function createWorld(db: Db) {
  const [account] = await db.insert(accounts).values({ name: 'research' }).returning()
  const accountId = account!.id
  const [dataset] = await db
    .insert(datasets)
    .values({
      name: 'preferences.jsonl',
      path: '/data/preferences.jsonl',
      sha256: sha(randomUUID()),
      bytes: 81_920,
    })
    .returning()

  async function model(name: string) {
    const values = {
      name,
      path: `/models/${name}`,
      revision: sha(name + randomUUID()),
      family: 'llama',
      parameters: 260_032,
      dtype: 'F32',
    }
    const [row] = await db.insert(baseModels).values(values).returning()
    return row!
  }

  async function run(
    base: { id: string; path: string; revision: string },
    given: Partial<typeof runs.$inferInsert> = {},
  ) {
    const spec: RunSpec = TrainSpec.parse({
      kind: 'TRAIN',
      model: { path: base.path, revision: base.revision },
      dataset: { path: dataset!.path, sha256: dataset!.sha256 },
      recipe: {},
      lora: {},
      engine: {},
      evaluate: [{ settings: settings(), rows: '/rows.jsonl' }],
    })
    const values = {
      accountId,
      name: 'orpo',
      kind: 'TRAIN' as const,
      status: 'SUCCEEDED' as const,
      spec,
      baseModelId: base.id,
      datasetId: dataset!.id,
      idempotencyKey: randomUUID(),
      inputHash: sha('input'),
      attempt: 1,
      ...given,
    }
    const [row] = await db.insert(runs).values(values).returning()
    return row!
  }

  /** An adapter of a training run that succeeded. */
  async function adapter(
    base: Awaited<ReturnType<typeof model>>,
    name: string,
    given: Partial<typeof runs.$inferInsert> = {},
  ) {
    const made = await run(base, { name, ...given })
    const values = {
      name,
      runId: made.id,
      baseModelId: base.id,
      sha256: sha(name),
      parameters: 12_288,
      r: 16,
      alpha: 32,
      targetModules: ['q_proj'],
    }
    const [row] = await db.insert(adapters).values(values).returning()
    return { ...row!, runId: made.id, run: made }
  }

  /** A finished evaluation; `finished: false` leaves it open. `hash` replaces the hash of single documents. */
  async function evaluation(
    runId: string,
    subject: { baseModelId: string; adapterId: string | null },
    given: Answers,
    options: {
      settings?: EvaluationSettings
      promptHash?: string
      finished?: boolean
      hash?: (document: number) => string
      at?: Date
    } = {},
  ) {
    const used = options.settings ?? settings()
    const [row] = await db
      .insert(evaluations)
      .values({
        runId,
        key: `${randomUUID()}:${used.task}`,
        ...subject,
        task: used.task,
        settings: used,
        settingsHash: settingsHash(used),
        promptHash: options.promptHash ?? sha('prompt'),
        documents: given.length,
      })
      .returning()
    const hash = options.hash ?? ((document: number) => sha(`document ${document}`))
    if (given.length > 0) {
      await db.insert(samples).values(
        given.map((answer, document) => ({
          evaluationId: row!.id,
          document,
          hash: hash(document),
          gold: document % 4,
          picked: answer === 1 ? document % 4 : (document + 1) % 4,
          choices: [-9.5, -10.25, -12, null].map((logLikelihood) => ({ logLikelihood, tokens: 3 })),
          scores: { acc: answer, acc_norm: answer },
          question: `A mouse is smaller than number ${document}, so it is`,
          answers: [
            'smaller than a house',
            'as big as a house',
            'bigger than a house',
            'a <b>house</b>',
          ],
        })),
      )
    }
    if (options.finished !== false) await finishEvaluation(db, row!.id)
    if (options.at !== undefined)
      await db
        .update(evaluations)
        .set({ finishedAt: options.at })
        .where(eq(evaluations.id, row!.id))
    return row!
  }

  return { db, accountId, dataset: dataset!, model, run, adapter, evaluation }
}
