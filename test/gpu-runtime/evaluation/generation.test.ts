/**
 * Tasks that are answered by writing: requests, extraction, scores and greedy responses are
 * lm-evaluation-harness 0.4.13's (test/golden/generation.py).
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { tasks } from '#schema/tasks.ts'
import { prepareTask } from '#gpu-runtime/evaluation/prepare.ts'
import { respond } from '#gpu-runtime/evaluation/respond.ts'
import { findTask } from '#gpu-runtime/evaluation/tasks/table.ts'
import type { GenerationTask } from '#gpu-runtime/evaluation/tasks/task.ts'
import { openGenerator, type Generator } from '#gpu-runtime/inference/generate.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { absent, modelOf, readJson } from '../golden.ts'
import { shared, withoutShared } from '../shared.ts'
import {
  examplesOf,
  golden as evaluations,
  styled,
  tagged,
  type Style,
} from './evaluationGolden.ts'
import { hashOf, rendered, settingsOf } from './harness.ts'

type Names = 'gsm8k' | 'ifeval'
const golden = readJson<{
  positions: number
  tasks: Record<
    Names,
    {
      rows: string
      examples: [number, number | null] | null
      requests: Record<string, string>
      responses: string[]
    }
  >
  judged: { responses: string[]; 'strict-match': number[]; 'flexible-extract': number[] }
  ifeval: { responses: string[]; scores: Record<string, number | [number, number]>[] }
}>('generation')
const names = ['gsm8k', 'ifeval'] as const
const rowsOf = (name: Names) => shared(`data/${golden.tasks[name].rows}`)
const signal = new AbortController().signal
const engine = new Engine(1)
after(() => engine.close())

const variants: Record<string, Style> = { ...evaluations.variants, five: { num_fewshot: 5 } }

for (const name of names)
  test(`${name}: requests of today’s harness`, { skip: withoutShared }, async (t) => {
    const rows = rowsOf(name)
    const { requests, examples } = golden.tasks[name]
    const file = await examplesOf(name, { examples }, rows)
    for (const [variant, hash] of Object.entries(requests))
      await t.test(variant, async () => {
        const settings = settingsOf({ task: name, ...styled(variants[variant]!) })
        assert.equal(hashOf(await rendered(settings, rows, file, tagged)), hash)
      })
  })

const taskOf = (name: Names) => findTask(name, 'LM_EVAL') as GenerationTask

test(
  'gsm8k: answers are extracted and compared as the harness’ filters and exact_match do',
  { skip: withoutShared },
  async () => {
    const { responses, ...filters } = golden.judged
    const limit = responses.length
    const documents = await rendered(settingsOf({ task: 'gsm8k', limit }), rowsOf('gsm8k'))
    const judged = documents.map(
      ({ document }, i) => taskOf('gsm8k').judge(document as never, responses[i]!).scores,
    )
    assert.deepEqual(
      judged.map((scores) => scores.exact_match_strict),
      filters['strict-match'],
    )
    assert.deepEqual(
      judged.map((scores) => scores.exact_match_flexible),
      filters['flexible-extract'],
    )
    // Both ways of being wrong are among them.
    assert.ok(new Set(filters['strict-match']).size === 2)
    assert.deepEqual(Object.keys(judged[0]!), tasks.get('gsm8k')!.metrics)
  },
)

test(
  'ifeval: four scores, those of instructions as sums with their numbers as weights',
  { skip: withoutShared },
  async () => {
    const { responses, scores } = golden.ifeval
    const settings = settingsOf({ task: 'ifeval', limit: responses.length })
    const documents = await rendered(settings, rowsOf('ifeval'))
    for (const [i, { document }] of documents.entries()) {
      const judged = taskOf('ifeval').judge(document as never, responses[i]!)
      const found = Object.fromEntries(
        Object.entries(judged.scores).map(([metric, value]) => {
          const weight = judged.weights?.[metric as keyof typeof judged.weights]
          return [metric, weight === undefined ? value : [value, weight]]
        }),
      )
      assert.deepEqual(found, scores[i])
      assert.deepEqual(Object.keys(found), tasks.get('ifeval')!.metrics)
    }
  },
)

test('extraction takes time that grows with the response, not with its square', () => {
  const document = { text: '', target: '#### 5' }
  const task = taskOf('gsm8k')
  for (const unit of ['#### ', '-', '$,.', '#### -', '. ', ',']) {
    const begin = performance.now()
    task.judge(document, unit.repeat(400_000))
    assert.ok(performance.now() - begin < 2000, unit)
  }
})

const skip = absent('stories260K')
const model = modelOf('stories260K')

async function prepared(name: Names, limit: number, text: Text) {
  const settings = settingsOf({ task: name, limit })
  const rows = { rows: rowsOf(name), examples: null }
  return prepareTask(settings, rows, { text, maxPositions: golden.positions }, signal)
}

for (const name of names)
  test(
    `${name}: stories260K writes what the harness has it write, token by token`,
    { skip },
    async () => {
      const stored = await openCheckpoint(model)
      // As the golden was made: IFEval's 1280 tokens do not fit into the model's own 512.
      const config = { ...stored.config, maxPositions: golden.positions }
      const generator = await openGenerator(engine, { ...stored, config }, null)
      const text = await openText(model)
      const { responses } = golden.tasks[name]
      const task = await prepared(name, responses.length, text)
      const found = await Array.fromAsync(respond(task, generator, text, { signal }))
      await generator.release()
      const samples = found.map(({ sample }) => sample).toSorted((a, b) => a.document - b.document)
      assert.deepEqual(
        samples.map(({ response }) => response),
        responses.map((response) => response.slice(0, 8192)),
      )
      for (const [i, { hash, content, choices, picked, gold, scores }] of samples.entries()) {
        const document = task.documents[i]!
        assert.deepEqual([hash, content], [document.hash, document.content])
        assert.deepEqual([choices, picked, gold], [[], null, null])
        const judged = taskOf(name).judge(document.document as never, responses[i]!)
        assert.deepEqual(scores, judged.scores)
      }
    },
  )

/** Writes the same tokens for every prompt, one a step. */
const writing = (ids: readonly number[]): Generator => ({
  async *generate(prompts, { maxTokens, stopIds, ended, signal: stop }) {
    const open = new Set(prompts.keys())
    const made = prompts.map((): number[] => [])
    for (let i = 0; i < Math.min(maxTokens, ids.length) && open.size > 0; i++) {
      stop?.throwIfAborted()
      yield prompts.map((_, p) => {
        if (!open.has(p)) return []
        made[p]!.push(ids[i]!)
        if (stopIds.includes(ids[i]!) || ended?.(p, made[p]!)) open.delete(p)
        return [ids[i]!]
      })
    }
  },
  release: async () => {},
})

test(
  'a response is judged as a whole, and kept as far as the wire takes it',
  { skip },
  async () => {
    const text = await openText(model)
    const task = await prepared('gsm8k', 2, text)
    const long = `${' word'.repeat(2500)} #### 18`
    const decoding: Text = {
      ...text,
      decode: (ids, how) => (ids.length > 200 ? long : text.decode(ids, how)),
    }
    const ids = Array.from({ length: 256 }, () => text.encode('a').at(-1)!)
    const [first, second] = await Array.fromAsync(respond(task, writing(ids), decoding, { signal }))
    assert.equal(first!.sample.response, long.slice(0, 8192))
    // Of the first two documents the answers are 18 and 3.
    assert.equal(first!.sample.scores.exact_match_strict, 1)
    assert.equal(second!.sample.scores.exact_match_strict, 0)
  },
)

test(
  'only wanted documents of a shard are asked, further tokens end a response, an abort ends it all',
  { skip },
  async () => {
    const text = await openText(model)
    const task = await prepared('gsm8k', 7, text)
    const [a, end] = ['a', 'b'].map((letter) => text.encode(letter).at(-1)!) as [number, number]
    const asked = async (how: object) =>
      (
        await Array.fromAsync(
          respond(task, writing([a, a, end, ...Array<number>(300).fill(a)]), text, {
            signal,
            ...how,
          }),
        )
      ).map(({ sample, tokens }) => [sample.document, tokens])
    assert.deepEqual(await asked({ shard: { index: 1, count: 3 }, stopIds: [end] }), [
      [1, 3],
      [4, 3],
    ])
    assert.deepEqual(await asked({ wanted: new Set([6]), stopIds: [] }), [[6, 256]])
    assert.deepEqual(await asked({ signal: AbortSignal.abort() }), [])
  },
)

test('a row that lacks a column, or has an instruction that nobody knows, is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'oddsmith-generation-'))
  after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'rows.jsonl')
  const refused = async (task: Names, row: object, message: RegExp, how = {}) => {
    await writeFile(file, `${JSON.stringify(row)}\n`)
    await assert.rejects(rendered(settingsOf({ task, ...how }), file), {
      name: 'FormatError',
      message,
    })
  }
  await refused('gsm8k', { question: 'How many?' }, /^gsm8k: row 0.*no column answer/)
  await refused('gsm8k', { question: 'How many?', answer: 'five' }, /no "#### "/, {
    dialect: 'NOUS',
  })
  await refused(
    'ifeval',
    { prompt: 'Write.', instruction_id_list: [], kwargs: [] },
    /instruction_id_list is \[\]/,
  )
  await refused(
    'ifeval',
    { prompt: 'Write.', instruction_id_list: ['a:b'], kwargs: [{}] },
    /instruction 1, "a:b": expected one of/,
  )
})
