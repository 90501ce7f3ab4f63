/** GET /comparisons/:id: the numbers of each task, and the questions whose answer changed. */
import { html } from 'hono/html'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { InvalidInput } from '../problem.ts'
import type { Gate } from '../evaluation/gate.ts'
import { comparedSuites, judgeComparison } from '../evaluation/judge.ts'
import { runGate } from '../runs/verdict.ts'
import { comparisonTable, inOrder, isHeadline, type ComparisonTask } from './comparisonTable.ts'
import { flipSection } from './flipsSection.ts'
import { moment } from './format.ts'
import { gateCard, gateForm, verdictTag, type Question } from './gateCard.ts'
import { respond, type Html, type Viewer } from './layout.ts'

/** What the page's form may ask. */
const Asked = z.object({
  claim: z.enum(['SUPERIORITY', 'NON_INFERIORITY']).catch('NON_INFERIORITY'),
  margin: z.coerce.number().min(0).max(1000).catch(0.01),
  over: z.enum(['each', 'mean']).catch('each'),
})

/** Null where there is no such comparison. */
export async function comparisonPage(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer,
  id: string,
  query: Record<string, string>,
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
  const suites = await comparedSuites(ctx.db, id)
  const body = html`<div class="head">
      <h1>${candidate} <span class="faint">against</span> ${baseline}</h1>
      <ul class="facts">
        <li>${moment(comparison.createdAt)}</li>
        ${comparison.run !== null && html`<li>made by <a href="/runs/${comparison.run.id}">${comparison.run.name}</a></li>`}
      </ul>
    </div>
    <section>${comparisonTable(comparison.tasks, { baseline, candidate }, suites)}</section>
    ${await gateSection(ctx, comparison, Asked.parse(query), 'claim' in query)}
    ${await flipSection(ctx.db, id, comparison.tasks, null)}`
  return respond({ title: `${candidate} against ${baseline}`, viewer, at: 'runs', body })
}

type Judged = {
  readonly id: string
  readonly tasks: readonly ComparisonTask[]
  readonly run: Parameters<typeof runGate>[1] | null
}

/** What was asked in the address, else the gate of the run, else only the form. */
async function gateSection(
  { db }: Pick<Context, 'db'>,
  { id, tasks, run }: Judged,
  question: Question,
  asked: boolean,
): Promise<Html> {
  const gate = asked
    ? await answer(db, id, tasks, question)
    : run === null
      ? null
      : await runGate(db, run)
  const text =
    gate === null
      ? html`Whether the candidate may take the baseline’s place, with the uncertainty of the
        samples.`
      : asked
        ? html`As asked here; nothing is stored.`
        : html`The rules that its run was started with.`
  return html`<section id="gate">
    <header>
      <h2>Gate ${gate !== null && typeof gate !== 'string' && verdictTag(gate.verdict)}</h2>
      <p>${text}</p>
    </header>
    ${gateForm(`/comparisons/${id}`, question)}
    ${typeof gate === 'string' ? html`<p class="down">${gate}</p>` : gate !== null && gateCard(gate)}
  </section>`
}

/** The verdict, or why there can be none. */
async function answer(
  db: Context['db'],
  id: string,
  rows: readonly ComparisonTask[],
  { claim: kind, margin, over }: Question,
): Promise<Gate | string> {
  const rule = { kind, margin, alpha: 0.05, task: null, tasks: null, suite: null, metric: null }
  const each = inOrder(rows)
    .filter(isHeadline)
    .map(({ task }) => ({ ...rule, task }))
  try {
    const rules = over === 'each' ? each : [rule]
    return await judgeComparison(db, id, { adjust: 'NONE', rules })
  } catch (error) {
    if (error instanceof InvalidInput) return error.message
    throw error
  }
}
