/** The leaderboard on a real Postgres: what stands beside what, and in which order. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Difference } from '#api/evaluation/difference.ts'
import { rankGroups, standings } from '#api/evaluation/standings.ts'
import { settingsHash } from '#api/evaluation/settings.ts'
import { testDatabase } from '#test/support/database.ts'
import { answers, createWorld, flipped, settings, sha } from './world.ts'

const database = await testDatabase()
const world = await createWorld(database.db)
const { db } = world

const base = await world.model('base')
const good = await world.adapter(base, 'good')
const same = await world.adapter(base, 'same')
const ofBase = { baseModelId: base.id, adapterId: null }
const zero = answers(500, 200)
const at = (minute: number) => new Date(Date.UTC(2026, 10, 24, 12, minute))

await world.evaluation(same.run.id, ofBase, zero, { at: at(1) })
await world.evaluation(
  good.run.id,
  { baseModelId: base.id, adapterId: good.id },
  answers(500, 100),
  { at: at(2) },
)
await world.evaluation(
  good.run.id,
  { baseModelId: base.id, adapterId: good.id },
  flipped(zero, 1, 40),
  { at: at(3) },
)
await world.evaluation(
  same.run.id,
  { baseModelId: base.id, adapterId: same.id },
  flipped(zero, 0, 2),
  { at: at(4) },
)
await world.evaluation(same.run.id, ofBase, answers(500, 500), { finished: false })

test('rows are ranked by paired differences: who cannot be told from the leader shares its rank', async () => {
  const [board] = await standings(db)
  assert.deepEqual(
    board!.rows.map((row) => [row.rank, row.adapter?.name ?? row.baseModel.name, row.value]),
    [
      [1, 'good', 0.48], // the newest evaluation, not the one with 0.2
      [2, 'base', 0.4],
      [2, 'same', 0.396], // two of 500 lost: not a difference
    ],
  )
  assert.deepEqual(
    [board!.task, board!.metric, board!.title],
    ['openbookqa', 'acc_norm', 'OpenBookQA (test)'],
  )
})

test('an adapter stands with its paired difference to its own base, the base with none', async () => {
  const [board] = await standings(db)
  const [first, second] = board!.rows
  assert.deepEqual([first!.toBase!.gained, first!.toBase!.lost, first!.toBase!.n], [40, 0, 500])
  assert.ok(first!.toBase!.low > 0.05 && first!.toBase!.high < 0.12)
  assert.equal(second!.toBase, null)
})

test('other settings or another prompt make another board', async () => {
  const limited = settings({ limit: 10 })
  await world.evaluation(
    good.run.id,
    { baseModelId: base.id, adapterId: good.id },
    answers(10, 9),
    { settings: limited },
  )
  await world.evaluation(good.run.id, ofBase, answers(500, 450), {
    promptHash: sha('other prompt'),
    at: at(9),
  })
  await world.evaluation(good.run.id, ofBase, answers(20, 5), {
    settings: settings({ task: 'arc_easy' }),
  })
  const boards = await standings(db)
  assert.deepEqual(
    boards.map((board) => [board.task, board.settings.limit, board.rows.length]),
    [
      ['arc_easy', null, 1],
      ['openbookqa', null, 3],
      ['openbookqa', null, 1],
      ['openbookqa', 10, 1],
    ],
  )
  // Without its base on the board there is no difference to it.
  assert.equal(boards.at(-1)!.rows[0]!.toBase, null)
  assert.equal((await standings(db, { task: 'arc_easy' })).length, 1)
  assert.equal((await standings(db, { settingsHash: settingsHash(limited) })).length, 1)
  assert.deepEqual(await standings(db, { task: 'who_is_bigger' }), [])
})

test('a group is measured against its leader, so ranks do not drift along a chain of small steps', async () => {
  // Each differs from the next by 0.03 and the interval's half width is 0.05: a, b | c, d | e.
  const score = { a: 0.7, b: 0.67, c: 0.64, d: 0.61, e: 0.58 } as Record<string, number>
  const ranks = await rankGroups(Object.keys(score), async (pairs) =>
    pairs.map(({ baseline, candidate }) => {
      const difference = score[candidate]! - score[baseline]!
      return { difference, low: difference - 0.05, high: difference + 0.05 } as Difference
    }),
  )
  assert.deepEqual(ranks, [1, 1, 3, 3, 5])
})

test('no row, no rank', async () => assert.deepEqual(await rankGroups([], async () => []), []))
