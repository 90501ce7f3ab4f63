/** GET /: every board of comparable scores, for everybody. */
import { html, raw } from 'hono/html'
import type { Context } from '../context.ts'
import { standings, type Board, type Standing } from '../evaluation/standings.ts'
import { between, dayOf, plural, score, short, signed, whole } from './format.ts'
import { intervalBar, scaleHead, toneOf } from './intervalBar.ts'
import { respond, type Html, type Viewer } from './layout.ts'
import { scale, type Scale } from './ticks.ts'

export async function leaderboard(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer | null,
): Promise<Response> {
  const boards = await standings(ctx.db)
  const body = html`<div class="head">
      <h1>Leaderboard</h1>
      <p>
        Adapters against the models that they were trained on, on the same questions. Rows share a
        rank while their difference to the first of the group could be chance.
      </p>
    </div>
    ${boards.length === 0 ? nothing : boards.map((board, i) => section(board, i, viewer !== null))}`
  return respond({ title: 'Leaderboard', viewer, at: 'leaderboard', body })
}

const nothing = html`<div class="card empty">
  <b>Nothing has been measured yet</b> A training run with an <code>evaluate</code> clause puts its
  adapter and its base model here.
</div>`

function section(board: Board, index: number, links: boolean): Html {
  const { settings, rows } = board
  const limit = settings.limit === null ? 'all rows' : `first ${plural(settings.limit, 'row')}`
  const shared = scale(
    Math.min(...rows.map(({ interval, value }) => interval?.low ?? value)),
    Math.max(...rows.map(({ interval, value }) => interval?.high ?? value)),
    4,
  )
  return html`<section aria-labelledby="board-${index}">
    <header>
      <h2 id="board-${index}">${board.title}</h2>
      <ul class="facts">
        <li><b>${board.metric}</b></li>
        <li>task version <b>${settings.version}</b></li>
        <li>prompt <code title="${board.promptHash}">${short(board.promptHash)}</code></li>
        <li>
          ${limit} of <code title="${settings.rowsSha256}">${short(settings.rowsSha256)}</code>
        </li>
        <li>zero-shot</li>
        <li>
          scored as ${settings.dialect === 'LM_EVAL' ? 'lm-evaluation-harness' : settings.dialect}
        </li>
        <li>${settings.dtype.toLowerCase()}</li>
      </ul>
    </header>
    <div class="card">
      <div class="scroll">
        <table class="stack board">
          <thead>
            <tr>
              <th scope="col">Rank</th>
              <th scope="col">Model</th>
              <th scope="col" class="number">Score ± SE</th>
              <th scope="col" class="range">
                <span class="hidden">Interval of the score</span>${scaleHead(shared)}
              </th>
              <th scope="col" class="number">Difference to base</th>
              <th scope="col" class="number">n</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map((row, i) => line(row, rows[i - 1], zeroOf(row, rows), shared, links))}
          </tbody>
        </table>
      </div>
      <div class="key">
        <span>bar: 95 % interval of the score</span
        ><span><i class="legend base"></i> the row’s base model</span>
        <span>difference: paired over shared questions${links && ', linked to what changed'}</span>
      </div>
    </div>
  </section>`
}

const zeroOf = (row: Standing, rows: readonly Standing[]): number | null =>
  rows.find((other) => other.adapter === null && other.baseModel.id === row.baseModel.id)?.value ??
  null

function line(
  row: Standing,
  before: Standing | undefined,
  zero: number | null,
  shared: Scale,
  links: boolean,
): Html {
  const { adapter, baseModel, toBase } = row
  const tone = adapter === null ? 'base' : toneOf(toBase)
  const name = adapter?.name ?? baseModel.name
  const tied = before?.rank === row.rank
  const difference = toBase && html`<span class="${tone}">${signed(toBase.difference)}</span>`
  const number =
    links && row.comparisonId !== null
      ? html`<a class="inside" href="/comparisons/${row.comparisonId}" title="what changed"
          >${difference}<span class="hidden"> what changed for ${name}</span></a
        >`
      : difference
  return html`<tr class="${tied ? 'tied' : ''}">
    <td class="rank">
      ${tied ? html`<span class="same"><span class="hidden">${row.rank}</span><span aria-hidden="true">=</span></span>` : row.rank}
    </td>
    <th scope="row" class="name">
      ${links ? html`<a href="/runs/${adapter?.runId ?? row.runId}">${name}</a>` : name}
      <small
        >${adapter === null ? 'base model' : html`on ${baseModel.name}`}<span class="date">
          · ${dayOf(row.finishedAt)}</span
        ></small
      >
    </th>
    <td class="number score">
      <b>${score(row.value)}</b>
      <span class="soft">${row.standardError !== null && html`± ${score(row.standardError)}`}</span>
    </td>
    <td class="range">
      ${intervalBar({ value: row.value, interval: row.interval ?? { low: row.value, high: row.value }, zero, tone }, shared)}
    </td>
    <td class="number most" ${toBase !== null && raw('data-label="to base"')}>
      ${
        toBase === null
          ? html`<span class="faint">${adapter === null ? 'zero line' : 'base not scored'}</span>`
          : html`${number} <span class="soft small">${between(toBase)}</span>`
      }
    </td>
    <td class="number few" data-label="n =">${whole(row.n)}</td>
  </tr>`
}
