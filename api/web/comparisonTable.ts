/** A comparison's numbers: on the run's page and on its own. */
import { html } from 'hono/html'
import type { comparisonTasks } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import { valueOf } from '../evaluation/value.ts'
import { between, probability, score, signed, whole } from './format.ts'
import { intervalBar, scaleHead, toneOf } from './intervalBar.ts'
import type { Html } from './layout.ts'
import { scale } from './ticks.ts'

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

export function comparisonTable(
  rows: readonly ComparisonTask[],
  names: { baseline: string; candidate: string },
): Html {
  const shared = scale(
    Math.min(0, ...rows.map((row) => row.low)),
    Math.max(0, ...rows.map((row) => row.high)),
    4,
  )
  const leftOut = rows.some((row) => row.leftOut > 0)
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
                </td>
                <td class="number" data-label="p">${probability(row.pValue)}</td>
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
      ><span>candidate: <b>${names.candidate}</b></span
      ><span>p: exact McNemar test</span>
      ${leftOut && html`<span>left out: not asked the same on both sides</span>`}
    </div>
  </div>`
}
