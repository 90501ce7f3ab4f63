/** The summary that LLM AutoEval writes of an evaluation, in Markdown. */
import type { Average, GroupResult, SuiteResult } from './suiteResult.ts'

/** What was scored, and on which suites; every subject on the same. */
export type Summarized = { readonly name: string; readonly results: readonly SuiteResult[] }

/**
 * For each suite a table of averages with a row a subject, then for each subject a table of tasks a group. All of it in
 * percent with two decimals; where tasks are missing there is no average, and it says which.
 *
 *     | Model | AGIEval | GPT4All | TruthfulQA | Bigbench | Average |
 *     …
 *     ### AGIEval
 *
 *     | Task             | Version | Metric   | Value |   | Stderr |
 *     …
 *     Average: 31.10%
 *
 *     Average score: 45.42%
 */
export function summarizeSuites(subjects: readonly Summarized[]): string {
  const suites = subjects[0]?.results ?? []
  return suites
    .flatMap(({ title }, i) => {
      const results = subjects.map(({ name, results: all }) => ({ name, result: all[i]! }))
      return [
        ...(suites.length > 1 ? [`# ${title}`] : []),
        averages(results),
        ...results.flatMap(({ name, result }) => [
          ...(results.length > 1 ? [`## ${cell(name)}`] : []),
          ...result.groups.flatMap((group) => [
            `### ${group.title}`,
            taskTable(group),
            `Average: ${said(group)}`,
          ]),
          `Average score: ${said(result)}`,
        ]),
      ]
    })
    .join('\n\n')
    .concat('\n')
}

function averages(
  subjects: readonly { readonly name: string; readonly result: SuiteResult }[],
): string {
  const [{ result: first }] = subjects as [(typeof subjects)[number]]
  const alone = first.groups.length === 1
  const head = ['Model', ...first.groups.map(({ title }) => title), ...(alone ? [] : ['Average'])]
  const rows = subjects.map(({ name, result }) => [
    cell(name),
    ...[...result.groups, ...(alone ? [] : [result])].map(({ percent }) => number(percent)),
  ])
  return table(head, rows, 1)
}

function taskTable({ tasks }: GroupResult): string {
  const rows = tasks.map(({ task, version, metric, mean, standardError }, i) => {
    const again = tasks[i - 1]?.task === task
    return [
      again ? '' : task,
      again ? '' : String(version),
      metric,
      number(mean * 100),
      standardError === null ? '' : '±',
      standardError === null ? 'N/A' : number(standardError * 100),
    ]
  })
  return table(['Task', 'Version', 'Metric', 'Value', '', 'Stderr'], rows, 3)
}

const number = (x: number | null) => (x === null ? '—' : x.toFixed(2))

const said = ({ percent, missing }: Average): string =>
  percent === null ? `none, there are no scores of ${missing.join(', ')}` : `${percent.toFixed(2)}%`

/** What people call things must not end a cell, a line or a heading. */
const cell = (text: string) => text.replaceAll(/[\\|]/g, '\\$&').replaceAll(/\s+/g, ' ').trim()

/** With `texts` columns to the left; numbers behind them to the right. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  texts: number,
): string {
  const widths = head.map((title, i) =>
    Math.max(3, ...[title, ...rows.map((row) => row[i]!)].map((text) => text.length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, i) => (i < texts ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(' | ')} |`
  const rule = widths.map((width, i) =>
    i < texts ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}
