/** GET /comparisons/:id/flips: the samples whose score changed, a page at a time; also at the end of the comparison's own page. */
import { html, raw } from 'hono/html'
import type { Db } from '../database.ts'
import type { Context } from '../context.ts'
import { readFlips, type Direction, type Flip, type Side } from '../evaluation/flips.ts'
import { metricOf } from '../evaluation/value.ts'
import { inOrder, isHeadline, titleOf, type ComparisonTask } from './comparisonTable.ts'
import { plural, score, signed, whole } from './format.ts'
import { respond, type Html, type Viewer } from './layout.ts'

export type Shown = {
  readonly task: string | undefined
  readonly show: string | undefined
  readonly page: number
}

const flipsPerPage = 20
const fewFlips = 5

/** Null where there is no such comparison. */
export async function flipsPage(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer,
  id: string,
  shown: Shown,
): Promise<Response | null> {
  const comparison = await ctx.db.query.comparisons.findFirst({
    where: { id },
    with: {
      tasks: true,
      baselineModel: true,
      baselineAdapter: true,
      candidateModel: true,
      candidateAdapter: true,
    },
  })
  if (comparison === undefined) return null
  const candidate = comparison.candidateAdapter?.name ?? comparison.candidateModel.name
  const baseline = comparison.baselineAdapter?.name ?? comparison.baselineModel.name
  const body = html`<div class="head">
      <h1>${candidate} <span class="faint">against</span> ${baseline}</h1>
      <ul class="facts">
        <li><a href="/comparisons/${id}">The whole comparison</a></li>
      </ul>
    </div>
    ${await flipSection(ctx.db, id, comparison.tasks, shown)}`
  const title = `What changed: ${candidate} against ${baseline}`
  return respond({ title, viewer, at: 'runs', body })
}

const shows = ['all', 'gained', 'lost'] as const
const directions: Record<(typeof shows)[number], Direction | null> = {
  all: null,
  gained: 'GAINED',
  lost: 'LOST',
}

/**
 * Of the task that is asked for, or the first; null where nothing was compared. Without `shown` the beginning, as it stands on the
 * comparison's page.
 */
export async function flipSection(
  db: Db,
  id: string,
  rows: readonly ComparisonTask[],
  shown: Shown | null,
): Promise<Html | null> {
  const headlines = inOrder(rows).filter(isHeadline)
  const row = headlines.find(({ task }) => task === shown?.task) ?? headlines[0]
  if (row === undefined) return null
  const show = shows.find((name) => name === shown?.show) ?? 'all'
  const count = { all: row.gained + row.lost, gained: row.gained, lost: row.lost }
  const last = Math.max(1, Math.ceil(count[show] / flipsPerPage))
  const page = Math.min(shown?.page ?? 1, last)
  const pair = { baseline: row.baselineEvaluationId, candidate: row.candidateEvaluationId }
  const flips = await readFlips(db, row.metric, pair, {
    direction: directions[show],
    limit: shown === null ? fewFlips : flipsPerPage,
    offset: (page - 1) * flipsPerPage,
  })
  const link = (to: { task?: string; show?: string; page?: number }) =>
    `/comparisons/${id}/flips?${new URLSearchParams({ task: to.task ?? row.task, show: to.show ?? show, page: String(to.page ?? 1) })}`
  const tab = (href: string, text: Html | string, current: boolean) =>
    html`<a href="${href}" ${current ? raw('aria-current="true"') : ''}>${text}</a>`
  const accuracy = row.test === 'MCNEMAR'
  return html`<section id="flips">
    <header>
      <h2>What changed</h2>
      <p>
        ${
          accuracy
            ? html`Questions of ${titleOf(row.task)} that only one side answered rightly by
              ${row.metric}.`
            : html`Samples of ${titleOf(row.task)} that one side scored higher by ${row.metric}, the
              largest change first.`
        }
      </p>
    </header>
    ${headlines.length > 1 && html`<nav class="tabs" aria-label="Task">${headlines.map((task) => tab(link({ task: task.task, show: 'all' }), titleOf(task.task), task === row))}</nav>`}
    <nav class="tabs" aria-label="Which">
      ${shows.map((name) => tab(link({ show: name }), `${name === 'all' ? 'All' : name === 'gained' ? 'Gained' : 'Lost'} ${whole(count[name])}`, name === show))}
    </nav>
    <div class="card">
      ${
        flips.length === 0
          ? html`<div class="empty">
              ${count.all === 0 ? 'Both sides score the same on every question.' : 'None.'}
            </div>`
          : flips.map((flip) => sample(flip, row))
      }
    </div>
    ${
      shown === null &&
      count.all > flips.length &&
      html`<div class="pages">
        <a href="${link({})}">All ${plural(count.all, 'question')} that changed →</a>
      </div>`
    }
    ${
      shown !== null &&
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

function sample(flip: Flip, { metric, test }: ComparisonTask): Html {
  const { document, question, answers, gold, baseline, candidate, gained } = flip
  const chosen = baseline.response === null && candidate.response === null
  return html`<article class="sample">
    <p class="what">
      <span class="tag ${gained ? 'up' : 'down'}">${gained ? 'gained' : 'lost'}</span> question
      ${whole(document + 1)}${change(flip, metric, test)}
    </p>
    <p>${question}</p>
    ${
      answers.length > 0 &&
      html`<ol>
        ${answers.map(
          (answer, i) =>
            html`<li class="${i === gold ? 'gold' : ''}">
              <span>${answer}</span>
              ${i === gold && html`<span class="tag up">right answer</span>`}
              ${chosen && i === baseline.picked && html`<span class="tag">baseline</span>`}
              ${chosen && i === candidate.picked && html`<span class="tag ${gained ? 'up' : 'down'}">candidate</span>`}
            </li>`,
        )}
      </ol>`
    }
    ${
      !chosen &&
      html`<div class="responses">
        ${response('baseline', baseline)}${response('candidate', candidate)}
      </div>`
    }
  </article>`
}

const response = (name: string, { response: text }: Side): Html =>
  html`<figure>
    <figcaption>${name}</figcaption>
    <pre>${text ?? ''}</pre>
  </figure>`

/** By how much: for a choice the right answer's lead over the likeliest other, else the score. */
function change(
  { baseline, candidate }: Flip,
  metric: string,
  test: ComparisonTask['test'],
): Html | null {
  const { margin: before } = baseline
  const { margin: after } = candidate
  if (before !== null && after !== null)
    return html` ·
      <span title="log-likelihood of the right answer less that of the likeliest other, in nats"
        >lead of the right answer ${signed(before)} → <b>${signed(after)}</b> nats</span
      >`
  if (test === 'MCNEMAR') return null
  const unit = metricOf(metric).aggregate === 'MEAN' ? metric : 'log-likelihood'
  return html` · ${unit} ${score(baseline.score)} → <b>${score(candidate.score)}</b>`
}
