/** A whole suite by a real runtime: BIG-bench's 18 tasks on the embedded model, from made-up rows in BIG-bench's form to the summary. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { embedded } from '#demo/embedded.ts'
import { membersOf, suites } from '#schema/suites.ts'
import { tasks } from '#schema/tasks.ts'
import { install } from './installation.ts'

const benchmarks = await mkdtemp(join(tmpdir(), 'oddsmith-benchmarks-'))
after(() => rm(benchmarks, { recursive: true, force: true }))
const names = membersOf(suites.get('bigbench')!).map(({ task }) => task)
for (const [i, name] of names.entries())
  await writeFile(
    join(benchmarks, tasks.get(name)!.rows),
    JSON.stringify({
      name,
      task_prefix: 'Which of the two is bigger?',
      append_choices_to_input: i % 2 === 0,
      examples: ['ant', 'mouse', 'cat', 'ant'].map((small) => ({
        input: `the ${small} or the horse, said ${i} times`,
        target_scores: { 'the horse': 1, [`the ${small}`]: 0 },
      })),
    }),
  )
const there = await install({ benchmarkRoots: [benchmarks] })

test('a suite is asked for by name, scored, averaged and summarized', async () => {
  const id = await there.evaluate({
    model: { path: embedded.model },
    suites: [{ suite: 'bigbench' }],
  })
  const { run, events } = await there.ended(id)
  assert.equal(run.status, 'SUCCEEDED', JSON.stringify(events.at(-1)))
  assert.equal(run.evaluations.length, 18)
  // Made-up rows are scored, and said not to be the task's own.
  const warnings = events.filter(({ type, body }) => type === 'log' && body.level === 'warn')
  assert.equal(warnings.length, 18)
  assert.match(
    warnings[0]!.body.message,
    /causal_judgement.*these are not the rows of .*expected 190 rows, got 3/,
  )
  // Rows that are equal count once.
  for (const { documents } of run.evaluations) assert.equal(documents, 3)
  const document = `query ($id: ID!) { run(id: $id) { summary suiteResults { mean percent n missing
    groups { tasks { task metric mean n } } } } }`
  const { summary, suiteResults } = (await there.client.query<{ run: any }>(document, { id })).run
  const [{ groups, ...result }] = suiteResults
  assert.deepEqual(
    groups[0].tasks.map(({ task, metric, n }: any) => [task, metric, n]),
    names.map((task) => [task, 'multiple_choice_grade', 3]),
  )
  const means: number[] = groups[0].tasks.map(({ mean }: any) => mean)
  assert.ok(Math.abs(result.mean - means.reduce((sum, x) => sum + x, 0) / 18) < 1e-12)
  assert.deepEqual([result.n, result.missing], [54, []])
  assert.ok(summary.endsWith(`Average score: ${result.percent.toFixed(2)}%\n`), summary)
})
