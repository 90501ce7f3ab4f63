/** GET /comparisons/:id: the numbers of each task, and the questions whose answer changed. */
import { html, raw } from 'hono/html'
import type { Context } from '../context.ts'
import {
  comparisonTable,
  inOrder,
  isHeadline,
  titleOf,
  type ComparisonTask,
} from './comparisonTable.ts'
import { flipsPerPage, readFlips, type Flip } from './flips.ts'
import { moment, plural, whole } from './format.ts'
import { respond, type Html, type Viewer } from './layout.ts'

export type Shown = {
  readonly task: string | undefined
  readonly show: string | undefined
  readonly page: number
}

/** Null where there is no such comparison. */
export async function comparisonPage(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer,
  id: string,
  shown: Shown,
): Promise<Response | null> {
  const comparison = await ctx.db.query.comparisons.findFirst({
    where: { id },
    with: {
      tasks: true,
      run: true,
      baselineModel: true,
      baselineAdapter: true,
      candidateModel: true,
      candidateAdapter: true,
    },
  })
  if (comparison === undefined) return null
  const candidate = comparison.candidateAdapter?.name ?? comparison.candidateModel.name
  const baseline = comparison.baselineAdapter?.name ?? comparison.baselineModel.name
  const headlines = inOrder(comparison.tasks).filter(isHeadline)
  const chosen = headlines.find((row) => row.task === shown.task) ?? headlines[0]
  const body = html`<div class="head">
      <h1>${candidate} <span class="faint">against</span> ${baseline}</h1>
      <ul class="facts">
        <li>${moment(comparison.createdAt)}</li>
        ${comparison.run !== null && html`<li>made by <a href="/runs/${comparison.run.id}">${comparison.run.name}</a></li>`}
      </ul>
    </div>
    <section>${comparisonTable(comparison.tasks, { baseline, candidate })}</section>
    ${chosen !== undefined && (await flipSection(ctx, id, chosen, headlines, shown))}`
  return respond({ title: `${candidate} against ${baseline}`, viewer, at: 'runs', body })
}

const shows = ['all', 'gained', 'lost'] as const

async function flipSection(
  ctx: Pick<Context, 'db'>,
  id: string,
  row: ComparisonTask,
  tasks: readonly ComparisonTask[],
  shown: Shown,
): Promise<Html> {
  const show = shows.find((name) => name === shown.show) ?? 'all'
  const count = { all: row.gained + row.lost, gained: row.gained, lost: row.lost }
  const last = Math.max(1, Math.ceil(count[show] / flipsPerPage))
  const page = Math.min(shown.page, last)
  const ids = {
    metric: row.metric,
    baseline: row.baselineEvaluationId,
    candidate: row.candidateEvaluationId,
  }
  const flips = await readFlips(ctx.db, ids, { show, page })
  const link = (to: { task?: string; show?: string; page?: number }) =>
    `/comparisons/${id}?${new URLSearchParams({ task: to.task ?? row.task, show: to.show ?? show, page: String(to.page ?? 1) })}#flips`
  const tab = (href: string, text: Html | string, current: boolean) =>
    html`<a href="${href}" ${current ? raw('aria-current="true"') : ''}>${text}</a>`
  return html`<section id="flips">
    <header>
      <h2>What changed</h2>
      <p>Questions of ${titleOf(row.task)} that only one side answered rightly by ${row.metric}.</p>
    </header>
    ${tasks.length > 1 && html`<nav class="tabs" aria-label="Task">${tasks.map((task) => tab(link({ task: task.task, show: 'all' }), titleOf(task.task), task === row))}</nav>`}
    <nav class="tabs" aria-label="Which">
      ${shows.map((name) => tab(link({ show: name }), `${name === 'all' ? 'All' : name === 'gained' ? 'Gained' : 'Lost'} ${whole(count[name])}`, name === show))}
    </nav>
    <div class="card">
      ${
        flips.length === 0
          ? html`<div class="empty">
              ${count.all === 0 ? 'Both sides are right and wrong on the same questions.' : 'None.'}
            </div>`
          : flips.map(sample)
      }
    </div>
    ${
      last > 1 &&
      html`<div class="pages">
        <span
          >${page > 1 && html`<a href="${link({ page: page - 1 })}" rel="prev">← Back</a>`}</span
        >
        <span>Page ${page} of ${last} · ${plural(count[show], 'question')}</span>
        <span
          >${page < last && html`<a href="${link({ page: page + 1 })}" rel="next">Next →</a>`}</span
        >
      </div>`
    }
  </section>`
}

const sample = ({
  document,
  question,
  answers,
  gold,
  baselinePicked,
  candidatePicked,
  gained,
}: Flip): Html =>
  html`<article class="sample">
    <p class="what">
      <span class="tag ${gained ? 'up' : 'down'}">${gained ? 'gained' : 'lost'}</span> question
      ${whole(document + 1)}
    </p>
    <p>${question}</p>
    <ol>
      ${answers.map(
        (answer, i) =>
          html`<li class="${i === gold ? 'gold' : ''}">
            <span>${answer}</span> ${i === gold && html`<span class="tag up">right answer</span>`}
            ${i === baselinePicked && html`<span class="tag">baseline</span>`}
            ${i === candidatePicked && html`<span class="tag ${gained ? 'up' : 'down'}">candidate</span>`}
          </li>`,
      )}
    </ol>
  </article>`
