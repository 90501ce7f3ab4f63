/** Aggregations and groups against lm-evaluation-harness (golden.ts), and against tables that were published. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { aggregate } from '#api/evaluation/group.ts'
import { summarize } from '#api/evaluation/mean.ts'
import { bitsPerByte, perplexity, weightedPerplexity } from '#api/evaluation/perplexity.ts'
import { shared, withoutShared } from '../gpu-runtime/shared.ts'
import { golden, near } from './golden.ts'

test('perplexities and bits per byte are the harness’', () => {
  const { logLikelihoods, weights, ...expected } = golden.perplexity
  const documents = logLikelihoods.map((logLikelihood, i) => ({
    logLikelihood,
    weight: weights[i]!,
  }))
  near(perplexity(logLikelihoods) / expected.perplexity, 1, 1e-12, 'perplexity')
  near(weightedPerplexity(documents), expected.weighted, 1e-12, 'weighted')
  near(bitsPerByte(documents), expected.bitsPerByte, 1e-12, 'bits per byte')
})

test('groups have the harness’ means and standard errors, and none where a member has none', () => {
  for (const { members, bySize, n, mean, standardError } of golden.group) {
    const got = aggregate(
      members.map(([size, value, error]) => ({ n: size, mean: value, standardError: error })),
      bySize ? 'BY_SIZE' : 'EQUALLY',
    )!
    assert.equal(got.n, n)
    near(got.mean, mean, 1e-15, 'mean')
    if (standardError === null) assert.equal(got.standardError, null)
    else near(got.standardError!, standardError, 1e-15, 'standard error')
  }
  assert.equal(aggregate([], 'EQUALLY'), null)
})

/** Documents of each task under the Nous fork of lm-evaluation-harness 0.3.0: of the data sets, duplicates left out. */
const documents: Readonly<Record<string, number>> = {
  agieval_aqua_rat: 254,
  agieval_logiqa_en: 651,
  agieval_lsat_ar: 230,
  agieval_lsat_lr: 510,
  agieval_lsat_rc: 269,
  agieval_sat_en: 206,
  agieval_sat_en_without_passage: 206,
  agieval_sat_math: 220,
  arc_challenge: 1172,
  arc_easy: 2376,
  boolq: 3270,
  hellaswag: 10042,
  openbookqa: 500,
  piqa: 1838,
  winogrande: 1267,
  truthfulqa_mc: 817,
  bigbench_causal_judgement: 190,
  bigbench_date_understanding: 369,
  bigbench_disambiguation_qa: 258,
  bigbench_geometric_shapes: 359,
  bigbench_logical_deduction_five_objects: 500,
  bigbench_logical_deduction_seven_objects: 700,
  bigbench_logical_deduction_three_objects: 300,
  bigbench_movie_recommendation: 500,
  bigbench_navigate: 1000,
  bigbench_reasoning_about_colored_objects: 2000,
  bigbench_ruin_names: 448,
  bigbench_salient_translation_error_detection: 998,
  bigbench_snarks: 181,
  bigbench_sports_understanding: 986,
  bigbench_temporal_sequences: 1000,
  bigbench_tracking_shuffled_objects_five_objects: 1250,
  bigbench_tracking_shuffled_objects_seven_objects: 1750,
  bigbench_tracking_shuffled_objects_three_objects: 300,
}

type Row = {
  readonly file: string
  readonly task: string
  readonly metric: string
  readonly value: number
  readonly error: number
}
type Table = { readonly file: string; readonly rows: Row[]; readonly average: number | null }

/** The Markdown tables of one log; an `Average:` line belongs to the table above it. */
function tablesOf(file: string, text: string): Table[] {
  const tables: { file: string; rows: Row[]; average: number | null }[] = []
  let task = ''
  for (const line of text.split('\n')) {
    const cells = /^\|\s*(.*?)\s*\|[^|]*\|(\w+)\s*\|\s*([\d.]+)\|[^|]*\|\s*([\d.]+)\|/.exec(line)
    if (/^\|\s*Task\b/.test(line)) tables.push({ file, rows: [], average: null })
    if (cells !== null && tables.length > 0) {
      task = cells[1] || task
      const [metric, value, error] = [cells[2]!, Number(cells[3]), Number(cells[4])]
      tables.at(-1)!.rows.push({ file, task, metric, value, error })
    }
    const average = /^Average:\s*([\d.]+)/.exec(line)
    if (average !== null) tables.at(-1)!.average = Number(average[1])
  }
  return tables
}

const logs = 'data/nous-benchmark-logs/benchmark-logs'
const published = (): Table[] =>
  readdirSync(shared(logs), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .flatMap((name) => tablesOf(name, readFileSync(join(shared(logs), name), 'utf8')))

/** n right/wrong scores with the mean that was printed to four places. */
const scores = (mean: number, n: number): number[] => {
  const right = Math.round(mean * n)
  return Array.from({ length: n }, (_, i) => Number(i < right))
}

test(
  'every published standard error of a right/wrong metric recomputes from its mean and the number of documents',
  { skip: withoutShared },
  () => {
    const rows = published()
      .flatMap((table) => table.rows)
      .filter(({ metric }) => metric !== 'mc2') // a share of probability, not right or wrong
    assert.ok(rows.length > 600, `${rows.length} rows were read`)
    for (const { file, task, metric, value, error } of rows) {
      const got = summarize(scores(value, documents[task]!))!
      near(got.mean, value, 0.5e-4 + 1e-9, `${file} ${task} ${metric}`)
      near(got.standardError!, error, 0.5e-4 + 1e-6, `${file} ${task} ${metric} ±`)
    }
  },
)

/** The one published average that its own table does not give. */
const misprinted = /Llama-2-7B-Base/i

test(
  'published suite averages are the unweighted means of their tables, to the last printed digit',
  { skip: withoutShared },
  (context) => {
    const suites = published().filter((table) => table.average !== null)
    let recomputed = 0
    for (const { file, rows, average } of suites) {
      const members = Object.values(Object.groupBy(rows, ({ task }) => task)).map((of) => {
        const { task, value, error } = of!.find(({ metric }) => metric === 'acc_norm') ?? of![0]!
        return { n: documents[task]!, mean: value, standardError: error }
      })
      const suite = aggregate(members, 'EQUALLY')!
      if (misprinted.test(file) && members.length === 8) {
        // AGIEval: 26.90 is printed, 23.86 is the mean
        assert.deepEqual([average, (100 * suite.mean).toFixed(2)], [26.9, '23.86'])
        continue
      }
      near(
        100 * suite.mean,
        average!,
        0.01, // some are rounded, some are cut
        `${file}, ${members.length} tasks`,
      )
      const sum = members.reduce((total, member) => total + member.standardError ** 2, 0)
      near(suite.standardError!, Math.sqrt(sum) / members.length, 1e-15, 'standard error')
      recomputed += 1
    }
    context.diagnostic(`${recomputed} of ${suites.length} averages recompute`)
    assert.ok(recomputed >= 40, `${recomputed} of ${suites.length} averages recompute`)
  },
)
