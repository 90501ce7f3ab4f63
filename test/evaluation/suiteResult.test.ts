/** Suites: averages against the tables that others have published. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import test from 'node:test'
import { summarize } from '#api/evaluation/mean.ts'
import { roundPercent, suiteResult, type TaskScore } from '#api/evaluation/suiteResult.ts'
import { summarizeSuites } from '#api/evaluation/summary.ts'
import type { Metric } from '#schema/metrics.ts'
import { sources } from '#schema/sources.ts'
import { membersOf, suites } from '#schema/suites.ts'
import { tasks } from '#schema/tasks.ts'

const logs = resolve(
  process.env['ODDSMITH_SHARED'] ?? resolve(import.meta.dirname, '../../../shared'),
  'data/nous-benchmark-logs/benchmark-logs',
)
const withoutLogs = existsSync(logs) ? false : `no published tables at ${logs}; set ODDSMITH_SHARED`

type Published = {
  readonly scores: ReadonlyMap<string, readonly TaskScore[]>
  /** By our group, what is printed under its table. */
  readonly averages: ReadonlyMap<string, number>
}

/** A page of teknium1/LLM-Benchmark-Logs: tables of `|task|version|metric|value|±|stderr|`, each with its average. */
function read(file: string): Published {
  const scores = new Map<string, TaskScore[]>()
  const averages = new Map<string, number>()
  let task = ''
  for (const line of readFileSync(resolve(logs, file), 'utf8').split('\n')) {
    const average = /^Average: *([\d.]+)/.exec(line)
    if (average !== null) averages.set(groupOf(task), Number(average[1]))
    const cells = line.split('|').map((cell) => cell.trim())
    if (!/^\d/.test(cells[4] ?? '')) continue
    task = cells[1] || task
    const list = scores.get(task) ?? []
    scores.set(task, list)
    list.push({
      task,
      version: Number(cells[2] || list[0]!.version),
      metric: cells[3] as Metric,
      n: rowsOf(task),
      mean: Number(cells[4]),
      standardError: Number(cells[6]),
    })
  }
  return { scores, averages }
}

const nous = suites.get('nous')!
const groupOf = (task: string) =>
  nous.groups.find(({ members }) => members.some((member) => member.task === task))!.name

/** Documents of a task, of the source whose file its rows are looked for under; of the Nous suite where it has another's. */
function rowsOf(task: string): number {
  const { rowsOf: other } = membersOf(nous).find((member) => member.task === task)!
  const stem = tasks.get(other ?? task)!.rows.replace(/\.\w+$/, '')
  return [...sources.values()].find(({ stems }) => stems.includes(stem))!.rows
}

test('the averages under published tables are the suite’s own', { skip: withoutLogs }, () => {
  // Of the 67 that there are in all, one is not: AGIEval of Llama-2-7B-Base prints 26.90, of tasks whose mean is 23.86. It is not here.
  let equal = 0
  for (const file of readdirSync(logs).toSorted()) {
    const { scores, averages } = read(file)
    const { groups } = suiteResult('nous', scores)
    for (const [name, printed] of averages) {
      const { percent } = groups.find((group) => group.name === name)!
      // Values in the tables have four digits, so that their mean is off by up to 0.005 %.
      assert.ok(
        Math.abs(percent! - printed) < 0.0101,
        `${file}: ${name} ${printed}, not ${percent}`,
      )
      equal++
    }
  }
  assert.equal(equal, 43)
})

test(
  'published standard errors are those of as many documents as there are, each once',
  { skip: withoutLogs },
  () => {
    let fitted = 0
    for (const file of readdirSync(logs))
      for (const { task, metric, mean, standardError, n } of [
        ...read(file).scores.values(),
      ].flat()) {
        if (metric === 'mc2') continue // not of zeros and ones
        const right = Math.round(mean * n)
        const expected = summarize(
          Array.from({ length: n }, (_, i) => Number(i < right)),
        )!.standardError!
        const what = `${file}: ${task} ${metric} of ${n}: ${standardError}, not ${expected}`
        // Both have four digits; near 0 the error's own changes faster than p.
        assert.ok(Math.abs(expected - standardError!) < 1e-4, what)
        fitted++
      }
    assert.equal(fitted, 681)
  },
)

/** Every task of a group at the group's average. */
function flat(percents: readonly number[]): Map<string, TaskScore[]> {
  return new Map(
    nous.groups.flatMap(({ members }, i) =>
      members.map(({ task }): [string, TaskScore[]] => {
        const { version, headline: metric } = tasks.get(task)!
        return [
          task,
          [{ task, version, metric, n: 100, mean: percents[i]! / 100, standardError: 0.01 }],
        ]
      }),
    ),
  )
}

// https://mlabonne.github.io/blog/posts/2024-04-19_Fine_tune_Llama_3_with_ORPO.html, and the models' cards
const published: [model: string, average: number, parts: readonly number[]][] = [
  ['OpenHermes-2.5-Mistral-7B', 52.42, [42.75, 72.99, 52.99, 40.94]],
  ['Llama-3-8B-Instruct', 51.34, [41.22, 69.86, 51.65, 42.64]],
  ['Mistral-7B-Instruct-v0.1', 49.15, [33.36, 67.87, 55.89, 39.48]],
  ['OrpoLlama-3-8B', 48.63, [34.17, 70.59, 52.39, 37.36]],
  ['OrpoLlama-3-8B-1k', 46.76, [31.56, 70.19, 48.11, 37.17]],
  ['Llama-3-8B', 45.42, [31.1, 69.95, 43.91, 36.7]],
]
for (const [model, average, parts] of published)
  test(`${model}: the average of four averages is the published one`, () => {
    const { percent, groups } = suiteResult('nous', flat(parts))
    assert.deepEqual(
      groups.map((group) => group.percent),
      parts,
    )
    assert.equal(percent, average)
  })

test('percentages are rounded as Python rounds them', () => {
  // round(x, 2) of CPython 3.12
  const cases: [x: number, rounded: number][] = [
    [42.125, 42.12],
    [42.375, 42.38],
    [42.625, 42.62],
    [42.875, 42.88],
    [45.415000000000006, 45.42],
    [2.675, 2.67],
    [0.005, 0.01],
    [0, 0],
    [100, 100],
  ]
  for (const [x, rounded] of cases) assert.equal(roundPercent(x), rounded, String(x))
})

test('a suite without all of its tasks has no average and says what is missing', () => {
  const scores = flat([10, 20, 30, 40])
  scores.delete('boolq')
  scores.set('piqa', [])
  const { score, percent, missing, groups } = suiteResult('nous', scores)
  assert.deepEqual([score, percent], [null, null])
  assert.deepEqual(missing, ['boolq', 'piqa'])
  assert.equal(groups[0]!.percent, 10)
  assert.deepEqual(groups[1]!.missing, ['boolq', 'piqa'])
  assert.equal(groups[1]!.percent, null)
})

test('MMLU weighs subjects by their size, over all tasks and not over groups', () => {
  const suite = suites.get('mmlu')!
  const all = membersOf(suite)
  assert.equal(all.length, 57)
  const scores = new Map(
    all.map(({ task }, i): [string, TaskScore[]] => {
      const { version, headline: metric } = tasks.get(task)!
      const [n, mean] = [100 + i, (i % 10) / 10]
      const standardError = Math.sqrt((mean * (1 - mean)) / (n - 1))
      return [task, [{ task, version, metric, n, mean, standardError }]]
    }),
  )
  const { score, groups } = suiteResult('mmlu', scores)
  const list = [...scores.values()].flat()
  const total = list.reduce((sum, { n }) => sum + n, 0)
  assert.equal(score!.n, total)
  assert.ok(Math.abs(score!.mean - list.reduce((sum, s) => sum + s.mean * s.n, 0) / total) < 1e-12)
  // Pooled: sqrt(Σ (n - 1) n se² / (N - k) / N), where n (n - 1) se² of zeros and ones is n p (1 - p) n
  const squares = list.reduce((sum, { n, mean }) => sum + n * mean * (1 - mean), 0)
  assert.ok(Math.abs(score!.standardError! - Math.sqrt(squares / (total - 57) / total)) < 1e-12)
  assert.deepEqual(
    groups.map(({ name, tasks: of }) => [name, of.length]),
    [
      ['mmlu_stem', 19],
      ['mmlu_other', 13],
      ['mmlu_social_sciences', 12],
      ['mmlu_humanities', 13],
    ],
  )
})

test('suites ask tasks that there are, in dialects that they have, each once', () => {
  for (const [name, suite] of suites) {
    const members = membersOf(suite)
    assert.equal(new Set(members.map(({ task }) => task)).size, members.length, name)
    for (const { task, dialect, rowsOf: other, notRowsOf } of members) {
      assert.ok(tasks.get(task)!.dialects.includes(dialect), `${name}: ${task} in ${dialect}`)
      for (const named of [other, notRowsOf])
        if (named !== undefined) assert.ok(tasks.has(named), named)
    }
  }
  const count = (name: string) => suites.get(name)!.groups.map(({ members }) => members.length)
  assert.deepEqual(count('nous'), [8, 7, 1, 18])
  assert.deepEqual(count('nous-fixed'), [8, 7, 1, 18])
})

test('rows that stand for two tasks are one task of twice the weight', () => {
  const { groups } = suiteResult('nous', flat([40, 40, 40, 40]))
  const [agieval, , , bigBench] = groups
  assert.ok(Math.abs(agieval!.score!.standardError! - 0.01 / Math.sqrt(8)) < 1e-15)
  // 16 tasks of weight 1 and one of 2, of 18
  assert.ok(Math.abs(bigBench!.score!.standardError! - (0.01 * Math.sqrt(16 + 4)) / 18) < 1e-15)
})

test('the summary has a row a subject and a table a group, in percent', () => {
  const parts = [31.1, 69.95, 43.91, 36.7]
  const scores = flat(parts)
  const [mc2] = scores.get('truthfulqa_mc')!
  scores.set('truthfulqa_mc', [
    { ...mc2!, metric: 'mc1', mean: 0.2717, standardError: 0.0156 },
    mc2!,
  ])
  const missing = flat([30, 60, 40, 30])
  missing.delete('piqa')
  const text = summarizeSuites([
    { name: 'Llama-3-8B', results: [suiteResult('nous', scores)] },
    { name: 'a|b\n', results: [suiteResult('nous', missing)] },
  ])
  const has = (...lines: string[]) => assert.ok(text.includes(lines.join('\n')), text)
  has(
    '| Model      | AGIEval | GPT4All | TruthfulQA | Bigbench | Average |',
    '| ---------- | ------: | ------: | ---------: | -------: | ------: |',
    '| Llama-3-8B |   31.10 |   69.95 |      43.91 |    36.70 |   45.42 |',
    '| a\\|b       |   30.00 |       — |      40.00 |    30.00 |       — |',
    '',
    '## Llama-3-8B',
    '',
    '### AGIEval',
    '',
    '| Task                           | Version | Metric   | Value |     | Stderr |',
    '| ------------------------------ | ------- | -------- | ----: | --: | -----: |',
    '| agieval_aqua_rat               | 1       | acc_norm | 31.10 |   ± |   1.00 |',
  )
  has(
    '| truthfulqa_mc | 1       | mc1    | 27.17 |   ± |   1.56 |',
    '|               |         | mc2    | 43.91 |   ± |   1.00 |',
    '',
    'Average: 43.91%',
  )
  has('Average score: 45.42%', '', '## a\\|b', '')
  has('Average: none, there are no scores of piqa')
  assert.ok(text.endsWith('Average score: none, there are no scores of piqa\n'))
})
