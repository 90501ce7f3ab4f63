/** A token's log-probability does not depend on what else is in the batch, on the order, or on what prefixes are shared. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { planBatches, type Asked } from '#gpu-runtime/evaluation/plan.ts'
import { openScorer, type ScoreRequest, type Scorer } from '#gpu-runtime/inference/score.ts'
import { treeTokens } from '#gpu-runtime/inference/trees.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { stream } from '#gpu-runtime/random.ts'
import { absent, modelOf } from '../golden.ts'
import { scored } from '../inference/scored.ts'

const engine = new Engine(2)
after(() => engine.close())

const { uniform } = stream(11, 'requests')
let drawn = 0
const below = (n: number) => Math.floor(uniform(drawn++) * n)

/** A story, from anywhere in which as many tokens are taken as are asked for. */
const story = absent('stories260K')
  ? []
  : (
      JSON.parse(readFileSync(join(modelOf('stories260K'), 'greedy_reference.json'), 'utf8')) as {
        ids: number[]
      }
    ).ids.slice(1)
const tokens = (n: number) => {
  const from = below(story.length - n)
  return story.slice(from, from + n)
}

/**
 * Questions of every shape: alone, short and long, behind a common beginning of forty tokens (some of them
 * nothing but that beginning), with one to five choices of one to nine tokens, some scored in part.
 */
const shared = [tokens(40), tokens(23)]
const requests = Array.from({ length: 60 }, (_, i): ScoreRequest => {
  const context = [
    ...(shared[i % 3] ?? []),
    ...tokens(i % 10 === 0 && i % 3 < 2 ? 0 : 1 + below(i % 5 === 0 ? 180 : 50)),
  ]
  const choices = Array.from({ length: 1 + below(5) }, () => tokens(1 + below(9)))
  return { context, choices, scored: choices.map((c) => 1 + below(c.length)) }
})

async function planned(scorer: Scorer, asked: readonly Asked[], budget: number) {
  const found: number[][][] = []
  let computed = 0
  for (const batch of planBatches(asked, budget)) {
    const [scores] = await scorer.score(
      batch.map(({ prefix, items }) => ({ prefix, items: items.map(({ request }) => request) })),
    )
    const items = batch.flatMap((tree) => tree.items)
    items.forEach(({ document }, i) => (found[document] = scores![i]!.map((c) => [...c.tokens])))
    computed += batch.reduce((n, tree) => n + treeTokens(tree), 0)
  }
  return { found, computed }
}

test(
  'log-probabilities agree to 1e-5 over token budgets, shuffles and shared beginnings',
  { skip: absent('stories260K') },
  async () => {
    const scorer = await openScorer(engine, await openCheckpoint(modelOf('stories260K')), [null])
    const asked = requests.map((request, document) => ({ document, part: 0, request }))
    const alone: number[][][] = []
    for (const request of requests)
      alone.push((await scored(scorer, [request]))[0]!.map(({ tokens: t }) => [...t]))
    const whole = asked.reduce((n, a) => n + treeTokens({ prefix: [], items: [a] }), 0)
    let least = Infinity
    for (const budget of [1, 64, 300, 1024, 8192])
      for (const order of [
        asked,
        asked.toReversed(),
        asked.toSorted((a, b) => ((a.document * 7) % 60) - ((b.document * 7) % 60)),
      ]) {
        const { found, computed } = await planned(scorer, order, budget)
        least = Math.min(least, computed)
        assert.equal(found.length, requests.length)
        for (const [d, choices] of found.entries())
          for (const [c, got] of choices.entries())
            for (const [t, logp] of got.entries()) {
              const error = Math.abs(logp - alone[d]![c]![t]!)
              assert.ok(
                error <= 1e-5,
                `budget ${budget}, request ${d}, choice ${c}, token ${t}: ${error}`,
              )
            }
      }
    // Of two beginnings of 40 and 23 tokens, of twenty questions each, 32 and 16 are shared: multiples of the grain.
    assert.ok(least <= whole - 18 * 32 - 18 * 16, `${least} tokens of ${whole}`)
  },
)

test(
  'greedy says whether every token that counts was the likeliest',
  { skip: absent('stories260K') },
  async () => {
    const checkpoint = await openCheckpoint(modelOf('stories260K'))
    const scorer = await openScorer(engine, checkpoint, [null], { greedy: true })
    // What the model would write after a context, found token by token among all tokens.
    const context = [1, 403, 407]
    const likeliest: number[] = []
    const all = Array.from({ length: checkpoint.config.vocabulary }, (_, id) => id)
    while (likeliest.length < 3) {
      const [scores] = await scored(scorer, [
        {
          context: [...context, ...likeliest],
          choices: all.map((id) => [id]),
          scored: all.map(() => 1),
        },
      ])
      const best = scores!.findIndex(({ greedy }) => greedy)
      assert.equal(
        best,
        scores!
          .map((s) => s.logLikelihood)
          .indexOf(Math.max(...scores!.map((s) => s.logLikelihood))),
      )
      assert.equal(scores!.filter(({ greedy }) => greedy).length, 1)
      likeliest.push(best)
    }
    const other = (likeliest[1]! + 1) % all.length
    const [scores] = await scored(scorer, [
      {
        context,
        choices: [likeliest, [likeliest[0]!, other], [other, ...likeliest.slice(1)]],
        scored: [3, 2, 3],
      },
    ])
    assert.deepEqual(
      scores!.map(({ greedy }) => greedy),
      [true, false, false],
    )
  },
)
