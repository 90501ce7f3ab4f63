/** A comparison's numbers: on the run's page and on its own. */
import { html } from 'hono/html'
import type { comparisonTasks } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import type { ComparedSuite } from '../evaluation/judge.ts'
import { metricOf, valueOf } from '../evaluation/value.ts'
import { between, probability, score, signed, whole } from './format.ts'
import { intervalBar, scaleHead, toneOf } from './intervalBar.ts'
import type { Html } from './layout.ts'
import { scale, type Scale } from './ticks.ts'

export type ComparisonTask = typeof comparisonTasks.$inferSelect

export const titleOf = (task: string): string => tasks.get(task)?.title ?? task

export const isHeadline = ({ task, metric }: { task: string; metric: string }): boolean =>
  (tasks.get(task)?.headline ?? metric) === metric

/** By task, the headline metric first. */
export const inOrder = (rows: readonly ComparisonTask[]): ComparisonTask[] =>
  [...rows].sort(
    (a, b) =>
      a.task.localeCompare(b.task) ||
      Number(isHeadline(b)) - Number(isHeadline(a)) ||
      a.metric.localeCompare(b.metric),
  )

/** Accuracies, and below them what is compared by log-likelihoods, on a scale of its own. */
export function comparisonTable(
  rows: readonly ComparisonTask[],
  names: { baseline: string; candidate: string },
  suites: readonly ComparedSuite[] = [],
): Html {
  const isAccuracy = ({ metric }: ComparisonTask) => metricOf(metric).aggregate === 'MEAN'
  const parts = [rows.filter(isAccuracy), rows.filter((row) => !isAccuracy(row))]
  return html`${parts.flatMap((part, i) => (part.length === 0 ? [] : [table(part, names, i === 0 ? suites : [])]))}`
}

function table(
  rows: readonly ComparisonTask[],
  names: { baseline: string; candidate: string },
  suites: readonly ComparedSuite[],
): Html {
  const shared = scale(
    Math.min(0, ...[...rows, ...suites].map(({ low }) => low)),
    Math.max(0, ...[...rows, ...suites].map(({ high }) => high)),
    4,
  )
  const several = rows.filter(isHeadline).length > 1
  const accuracy = metricOf(rows[0]!.metric).aggregate === 'MEAN'
  const tests = new Set(rows.map(({ test }) => test))
  const leftOut = rows.some((row) => row.leftOut > 0)
  const seen = rows.some((row) => row.cleanN !== null && row.cleanN < row.n)
  return html`<div class="card">
    <div class="scroll">
      <table class="stack versus">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col" class="number">Baseline</th>
            <th scope="col" class="number">Candidate</th>
            <th scope="col" class="range">
              <span class="hidden">Interval of the difference</span>${scaleHead(shared)}
            </th>
            <th scope="col" class="number">Difference</th>
            <th scope="col" class="number">p</th>
            <th scope="col" class="number">n</th>
            <th scope="col" class="number">Gained / lost</th>
          </tr>
        </thead>
        <tbody>
          ${suites.map((suite) => suiteRow(suite, shared))}
          ${inOrder(rows).map(
            (row) =>
              html`<tr class="${isHeadline(row) ? '' : 'quiet'}">
                <th scope="row" class="name wide">
                  ${titleOf(row.task)}<small>${row.metric}</small>
                </th>
                <td class="number" data-label="baseline">
                  ${score(valueOf(row.metric, row.baseline))}
                </td>
                <td class="number" data-label="candidate">
                  ${score(valueOf(row.metric, row.candidate))}
                </td>
                <td class="range">
                  ${intervalBar({ value: row.difference, interval: row, zero: 0, tone: toneOf(row), difference: true }, shared)}
                </td>
                <td class="number wide" data-label="difference">
                  <b class="${toneOf(row)}">${signed(row.difference)}</b>
                  <span class="soft small">${between(row)}</span>
                  ${isHeadline(row) && more(row)} ${unseenOnly(row)}
                </td>
                <td class="number" data-label="p">
                  ${probability(row.pValue)}
                  ${several && row.adjustedP !== null && html`<small class="soft">Holm ${probability(row.adjustedP)}</small>`}
                </td>
                <td class="number" data-label="n">
                  ${whole(row.n)}${row.leftOut > 0 && html`<span class="faint small"> (${whole(row.leftOut)} left out)</span>`}
                </td>
                <td class="number" data-label="gained / lost">
                  <span class="up">${whole(row.gained)}</span> <span class="faint">/</span>
                  <span class="down">${whole(row.lost)}</span>
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <div class="key">
      <span>baseline: <b>${names.baseline}</b></span
      ><span>candidate: <b>${names.candidate}</b></span>
      ${tests.has('MCNEMAR') && html`<span>p: exact McNemar test</span>`}
      ${tests.has('SIGN_FLIP') && html`<span>p: ${tests.size > 1 && 'of graded scores '}paired permutation test</span>`}
      ${several && html`<span>Holm: adjusted for all tasks</span>`}
      ${!accuracy && html`<span>difference: of the log-likelihood per unit, in nats; above 0 is better</span>`}
      ${seen && html`<span>unseen: questions that share no run of 8 to 13 words with the training rows</span>`}
      ${leftOut && html`<span>left out: not asked the same on both sides</span>`}
    </div>
  </div>`
}

/** What else is known of a headline's difference: the other interval, and what would have been seen. */
const more = ({ bootstrapLow: low, bootstrapHigh: high, detectable }: ComparisonTask): Html =>
  html`<small class="faint"
    >${low !== null && high !== null && html`bootstrap ${between({ low, high })}`}
    ${detectable !== null && html`<span title="the smallest true difference that so many samples show with a probability of 80 %">· sees ±${score(detectable)}</span>`}</small
  >`

const suiteRow = (suite: ComparedSuite, shared: Scale): Html =>
  html`<tr>
    <th scope="row" class="name wide">${suite.title}<small>mean over tasks</small></th>
    <td class="number" data-label="baseline">${score(suite.baseline)}</td>
    <td class="number" data-label="candidate">${score(suite.candidate)}</td>
    <td class="range">
      ${intervalBar({ value: suite.difference, interval: suite, zero: 0, tone: toneOf(suite), difference: true }, shared)}
    </td>
    <td class="number wide" data-label="difference">
      <b class="${toneOf(suite)}">${signed(suite.difference)}</b>
      <span class="soft small">${between(suite)}</span>
    </td>
    <td class="number wide"></td>
    <td class="number" data-label="n">${whole(suite.n)}</td>
    <td class="number wide"></td>
  </tr>`

/** Where some questions were in the training rows, the difference without them. */
function unseenOnly({ n, cleanN, cleanDifference, cleanLow, cleanHigh }: ComparisonTask) {
  if (cleanN === null || cleanN === n) return null
  const interval = between({ low: cleanLow!, high: cleanHigh! })
  return html`<small class="soft"
    >unseen ${whole(cleanN)}: ${signed(cleanDifference!)} ${interval}</small
  >`
}
