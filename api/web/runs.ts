/** GET /runs: all runs, newest first, a page at a time. */
import { desc, eq, ne, sql } from 'drizzle-orm'
import { html, raw } from 'hono/html'
import { accounts, baseModels, comparisonTasks, comparisons, runs } from '#schema/tables.ts'
import { tasks } from '#schema/tasks.ts'
import type { Context } from '../context.ts'
import type { Difference } from '../evaluation/difference.ts'
import { between, duration, moment, signed } from './format.ts'
import { toneOf } from './intervalBar.ts'
import { respond, type Html, type Viewer } from './layout.ts'

const pageSize = 50

export async function runList(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer,
  page: number,
): Promise<Response> {
  const rows = await ctx.db
    .select({
      run: runs,
      model: baseModels.name,
      account: accounts.name,
      comparisonId: comparisons.id,
    })
    .from(runs)
    .innerJoin(baseModels, eq(baseModels.id, runs.baseModelId))
    .innerJoin(accounts, eq(accounts.id, runs.accountId))
    .leftJoin(comparisons, eq(comparisons.runId, runs.id))
    .where(ne(runs.kind, 'INSPECT'))
    .orderBy(desc(runs.createdAt), desc(runs.id))
    .limit(pageSize + 1)
    .offset((page - 1) * pageSize)
  const shown = rows.slice(0, pageSize)
  const differences = await headlines(
    ctx,
    shown.map((row) => row.comparisonId).filter((id) => id !== null),
  )
  const body = html`<div class="head">
      <h1>Runs</h1>
      <p>Trainings and evaluations of the whole team, newest first.</p>
    </div>
    ${
      shown.length === 0
        ? html`<div class="card empty">
            <b>${page === 1 ? 'No run yet' : 'No further runs'}</b>
            ${page === 1 && html`Start one with <code>trainAdapter</code> in <a href="/graphql">GraphiQL</a>.`}
          </div>`
        : html`<div class="card scroll">
            <table class="stack runs">
              <thead>
                <tr>
                  <th scope="col">Run</th>
                  <th scope="col">Status</th>
                  <th scope="col">Against its base</th>
                  <th scope="col">By</th>
                  <th scope="col" class="number">Took</th>
                </tr>
              </thead>
              <tbody>
                ${shown.map(
                  (row) =>
                    html`<tr>
                      <th scope="row" class="name">
                        <a href="/runs/${row.run.id}">${row.run.name}</a
                        ><small
                          >${row.run.kind === 'TRAIN' ? 'training' : 'evaluation'} of
                          ${row.model}</small
                        >
                      </th>
                      <td class="state">${statusBadge(row.run.status)}</td>
                      <td class="wide">
                        ${(differences.get(row.comparisonId ?? '') ?? []).map(({ task, ...difference }) => html`<div class="small"><span class="faint">${task}</span> <span class="${toneOf(difference)}">${signed(difference.difference)}</span> <span class="soft">${between(difference)}</span></div>`)}
                      </td>
                      <td class="most">
                        ${row.account}
                        <span class="small soft when">${moment(row.run.createdAt)}</span>
                      </td>
                      <td class="number small soft few">${took(row.run)}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`
    }
    ${
      (page > 1 || rows.length > pageSize) &&
      html`<div class="pages">
        <span>${page > 1 && html`<a href="/runs?page=${page - 1}" rel="prev">← Newer</a>`}</span>
        <span>Page ${page}</span
        ><span
          >${rows.length > pageSize && html`<a href="/runs?page=${page + 1}" rel="next">Older →</a>`}</span
        >
      </div>`
    }`
  return respond({ title: 'Runs', viewer, at: 'runs', body })
}

type Headline = Pick<Difference, 'difference' | 'low' | 'high'> & { readonly task: string }

/** The headline metric of each task, by comparison. */
async function headlines(
  ctx: Pick<Context, 'db'>,
  ids: readonly string[],
): Promise<Map<string, Headline[]>> {
  const rows = await ctx.db
    .select()
    .from(comparisonTasks)
    .where(sql`${comparisonTasks.comparisonId} = any(${sql.param(ids)}::uuid[])`)
    .orderBy(comparisonTasks.task)
  return Map.groupBy(
    rows.filter((row) => tasks.get(row.task)?.headline === row.metric),
    (row) => row.comparisonId,
  )
}

export const statusBadge = (status: string): Html =>
  html`<span class="${raw(`status ${status.toLowerCase()}`)}">${status.toLowerCase()}</span>`

/** From the first start to the end, or to now. */
export function took({
  startedAt,
  finishedAt,
}: {
  startedAt: Date | null
  finishedAt: Date | null
}): string {
  if (startedAt === null) return '–'
  return duration(((finishedAt ?? new Date()).getTime() - startedAt.getTime()) / 1000)
}
