/** GET /: every board of comparable scores, for everybody. */
import { html, raw } from 'hono/html'
import { metrics } from '#schema/metrics.ts'
import type { Context } from '../context.ts'
import { suiteBoards, type SuiteBoard } from '../evaluation/suiteBoards.ts'
import { standings, type Board, type Standing } from '../evaluation/standings.ts'
import { between, dayOf, plural, score, short, signed, whole } from './format.ts'
import { intervalBar, scaleHead, toneOf } from './intervalBar.ts'
import { respond, type Html, type Viewer } from './layout.ts'
import { differing, settingsFacts, type Fact } from './settingsFacts.ts'
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
    ${suiteBoards(boards).map((board, i) => suiteSection(board, i, viewer !== null))}
    ${
      boards.length === 0
        ? nothing
        : boards.map((board, i) => [
            board.task === boards[i - 1]?.task ? null : differences(board.task, boards),
            section(board, i, viewer !== null),
          ])
    }`
  return respond({ title: 'Leaderboard', viewer, at: 'leaderboard', body })
}

const nothing = html`<div class="card empty">
  <b>Nothing has been measured yet</b> A training run with an <code>evaluate</code> clause puts its
  adapter and its base model here.
</div>`

/** Where a task has several boards: why their rows are not on one. */
function differences(task: string, all: readonly Board[]): Html | null {
  const boards = all.map((board, i) => ({ board, i })).filter(({ board }) => board.task === task)
  if (boards.length < 2) return null
  const facts = differing(boards.map(({ board }) => board))
  const { title } = boards[0]!.board
  return html`<section aria-label="Boards of ${title}">
    <header>
      <h2>${title}: ${boards.length} boards</h2>
      <p>Their rows are not comparable with each other. They differ in</p>
    </header>
    <div class="card scroll">
      <table class="stack settings">
        <thead>
          <tr>
            <th scope="col">Board</th>
            ${facts.map((fact) => html`<th scope="col">${fact}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${boards.map(
            ({ board, i }, at) =>
              html`<tr>
                <th scope="row" class="name wide">
                  <a href="#board-${i}">Board ${at + 1}</a
                  ><small>${plural(board.rows.length, 'row')}</small>
                </th>
                ${facts.map((fact) => html`<td class="wide" data-label="${fact}:">${settingsFacts[fact](board)}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`
}

function suiteSection(board: SuiteBoard, index: number, links: boolean): Html {
  const { title, settings, rows } = board
  const groups = rows[0]!.result.groups
  const percent = (value: number | null) => (value === null ? '—' : value.toFixed(2))
  const facts = ['documents', 'examples', 'template', 'BOS', 'scored as', 'precision'] as const
  return html`<section aria-labelledby="suite-${index}">
    <header>
      <h2 id="suite-${index}">${title}</h2>
      <ul class="facts">
        ${facts.map((fact) => html`<li>${fact === 'BOS' && 'BOS '}${settingsFacts[fact]({ settings, promptHash: '' })}</li>`)}
      </ul>
    </header>
    <div class="card">
      <div class="scroll">
        <table class="stack suite">
          <thead>
            <tr>
              <th scope="col">Model</th>
              ${groups.length > 1 && groups.map((group) => html`<th scope="col" class="number">${group.title}</th>`)}
              <th scope="col" class="number">Average ± SE</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map(({ adapter, baseModel, runId, result }) => {
              const name = adapter?.name ?? baseModel.name
              const error = result.score?.standardError ?? null
              return html`<tr>
                <th scope="row" class="name wide">
                  ${links ? html`<a href="/runs/${adapter?.runId ?? runId}">${name}</a>` : name}
                  <small>${adapter === null ? 'base model' : html`on ${baseModel.name}`}</small>
                </th>
                ${groups.length > 1 && result.groups.map((group) => html`<td class="number wide" data-label="${group.title}">${percent(group.percent)}</td>`)}
                <td class="number wide" data-label="average">
                  <b>${percent(result.percent)}</b>
                  <span class="soft">${error !== null && html`± ${(error * 100).toFixed(2)}`}</span>
                </td>
              </tr>`
            })}
          </tbody>
        </table>
      </div>
      <div class="key">
        <span>percent; each subject scored on every task of the suite, on the same prompts</span>
      </div>
    </div>
  </section>`
}

function section(board: Board, index: number, links: boolean): Html {
  const { settings, rows } = board
  const fact = (name: Fact) => settingsFacts[name](board)
  const looked = rows.some(({ clean }) => clean !== null)
  const shared = scale(
    Math.min(...rows.map(({ interval, value }) => interval?.low ?? value)),
    Math.max(...rows.map(({ interval, value }) => interval?.high ?? value)),
    4,
  )
  return html`<section aria-labelledby="board-${index}">
    <header>
      <h2 id="board-${index}">${board.title}</h2>
      <ul class="facts">
        <li>
          <b>${board.metric}</b>${metrics[board.metric].goal === 'MIN' && ', lower is better'}
        </li>
        <li>task version <b>${settings.version}</b></li>
        <li>prompt <code title="${board.promptHash}">${short(board.promptHash)}</code></li>
        <li>
          ${fact('documents')} of
          <code title="${settings.rowsSha256}">${short(settings.rowsSha256)}</code>
        </li>
        <li>${fact('examples')}</li>
        <li>${fact('template')}</li>
        ${settings.systemInstruction !== null && html`<li>system instruction <code>${fact('system instruction')}</code></li>`}
        ${settings.bos !== 'TOKENIZER' && html`<li>BOS ${fact('BOS')}</li>`}
        <li>scored as ${fact('scored as')}</li>
        <li>${fact('precision')}</li>
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
              ${looked && html`<th scope="col" class="number">Unseen only</th>`}
            </tr>
          </thead>
          <tbody>
            ${rows.map((row, i) => line(row, rows[i - 1], zeroOf(row, rows), shared, { links, looked }))}
          </tbody>
        </table>
      </div>
      <div class="key">
        <span>bar: 95 % interval of the score</span
        ><span><i class="legend base"></i> the row’s base model</span>
        ${looked && html`<span>unseen only: questions that share no run of 8 to 13 words with the training rows</span>`}
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
  { links, looked }: { readonly links: boolean; readonly looked: boolean },
): Html {
  const { adapter, baseModel, toBase, clean } = row
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
    ${
      looked &&
      html`<td class="number few" data-label="unseen only">
        ${clean === null ? html`<span class="faint">–</span>` : html`${score(clean.value)} <span class="soft small">of ${whole(clean.n)}</span>`}
      </td>`
    }
  </tr>`
}
