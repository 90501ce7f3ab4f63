/** Values of metrics from samples in a real Postgres, and comparisons of what is no accuracy. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { and, eq } from 'drizzle-orm'
import { compareRun } from '#api/evaluation/compare.ts'
import { finishEvaluation } from '#api/evaluation/finish.ts'
import { pairedOf } from '#api/evaluation/paired.ts'
import { countPairs, readPairs } from '#api/evaluation/pairs.ts'
import { standings } from '#api/evaluation/standings.ts'
import { valueOfSamples } from '#api/evaluation/value.ts'
import { comparisonTasks, runs, samples, scores } from '#schema/tables.ts'
import { testDatabase } from '#test/support/database.ts'
import { createWorld, settings, sha } from './world.ts'

const { db } = await testDatabase()
const world = await createWorld(db)
const base = await world.model('base')
const wikitext = settings({ task: 'wikitext' })
const adapter = await world.adapter(base, 'tuned')
await db
  .update(runs)
  .set({
    spec: { ...adapter.run.spec, evaluate: [{ settings: wikitext, rows: '/w', examples: null }] },
  })
  .where(eq(runs.id, adapter.run.id))

/** A finished evaluation of wikitext over texts of these log-likelihoods and sizes. */
async function textScores(
  adapterId: string | null,
  documents: readonly [number, number, number][],
) {
  const row = await world.evaluation(
    adapter.run.id,
    { baseModelId: base.id, adapterId },
    documents.map(() => null),
    { settings: wikitext, finished: false },
  )
  for (const [document, [logLikelihood, words, bytes]] of documents.entries()) {
    const given = {
      scores: {
        word_perplexity: logLikelihood,
        byte_perplexity: logLikelihood,
        bits_per_byte: logLikelihood,
      },
      weights: { word_perplexity: words, byte_perplexity: bytes, bits_per_byte: bytes },
      hash: sha(`text ${document}`),
    }
    const one = and(eq(samples.evaluationId, row.id), eq(samples.document, document))
    await db.update(samples).set(given).where(one)
  }
  await finishEvaluation(db, row.id)
  return row
}

const before = await textScores(null, [
  [-300, 100, 500],
  [-90, 40, 200],
  [-700, 210, 1100],
])
const after = await textScores(adapter.id, [
  [-280, 100, 500],
  [-91, 40, 200],
  [-650, 210, 1100],
])
const near = (got: number, expected: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(got - expected) <= tolerance * Math.abs(expected), `${got}, not ${expected}`)

test('a perplexity over words and bits per byte are quotients of sums, without a standard error', async () => {
  const rows = await db.select().from(scores).where(eq(scores.evaluationId, before.id))
  const by = Object.fromEntries(rows.map((row) => [row.metric, row]))
  near(by['word_perplexity']!.value, Math.exp(1090 / 350))
  near(by['byte_perplexity']!.value, Math.exp(1090 / 1800))
  near(by['bits_per_byte']!.value, 1090 / 1800 / Math.log(2))
  assert.deepEqual(
    rows.map(({ n, standardError }) => [n, standardError]),
    rows.map(() => [3, null]),
  )
})

test('a perplexity per document has a bootstrapped standard error, an instruction-level accuracy none', () => {
  const documents = [-1, -2, -3, -2.5].map((score) => ({ score, weight: 1 }))
  const found = valueOfSamples('perplexity', documents)!
  near(found.value, Math.exp(2.125))
  // By the delta method exp(2.125) · 0.427 = 3.6 with n - 1; a bootstrap of four values is narrower and skewed.
  assert.ok(found.standardError! > 2 && found.standardError! < 5, `${found.standardError}`)
  const followed = [1, 3, 0].map((score, i) => ({ score, weight: i + 1 }))
  assert.deepEqual(valueOfSamples('inst_level_strict_acc', followed), {
    n: 3,
    value: 4 / 6,
    standardError: null,
  })
})

test('weighted pairs are counted by the database as they are in memory', async () => {
  const pair = { baseline: before.id, candidate: after.id }
  const [counted] = await countPairs(db, 'word_perplexity', [pair])
  const expected = pairedOf(await readPairs(db, 'word_perplexity', pair))
  near(counted!.deviation!, expected.deviation!, 1e-9)
  assert.deepEqual({ ...counted, deviation: 0 }, { ...expected, deviation: 0 })
  near(counted!.candidate - counted!.baseline, 69 / 350, 1e-9)
})

test('perplexities are compared by the log-likelihood per unit, with the permutation test', async () => {
  const id = await compareRun(db, adapter.run.id)
  const rows = await db.select().from(comparisonTasks).where(eq(comparisonTasks.comparisonId, id!))
  const row = rows.find(({ metric }) => metric === 'word_perplexity')!
  near(row.difference, 69 / 350, 1e-9)
  assert.deepEqual([row.test, row.gained, row.lost, row.n], ['SIGN_FLIP', 2, 1, 3])
  // Of the 8 sign patterns of 20, 1 and 50, those with a sum of at least 69 on either side: ±69 and ±71.
  near(row.pValue, 4 / 8)
  assert.equal(row.adjustedP, row.pValue)
  assert.equal(rows.find(({ metric }) => metric === 'bits_per_byte')!.adjustedP, null)
  assert.ok(row.bootstrapLow! < row.difference && row.difference < row.bootstrapHigh!)
  assert.ok(row.detectable! > 0)
})

test('on a board of perplexities the lowest comes first', async () => {
  const [board] = await standings(db, { task: 'wikitext' })
  assert.deepEqual(
    board!.rows.map(({ adapter: own }) => own?.name ?? null),
    ['tuned', null],
  )
  assert.equal(board!.rows[0]!.interval, null)
  near(board!.rows[0]!.toBase!.difference, 69 / 350, 1e-9)
})
