/** GET /runs/:id: status, curves, comparison, evaluations and log of one run; `?part=live` is what changes while it runs. */
import { html, raw } from 'hono/html'
import { isTerminal } from '#schema/lifecycle.ts'
import { tasks } from '#schema/tasks.ts'
import type { Context } from '../context.ts'
import { suiteNames } from '../runs/run.ts'
import { chart } from './chart.ts'
import { comparisonTable } from './comparisonTable.ts'
import { amount, clock, duration, moment, plural, score, short, whole } from './format.ts'
import { gateCard, verdictTag } from './gateCard.ts'
import { respond, security, type Html, type Viewer } from './layout.ts'
import { readRun, type RunData } from './runData.ts'
import { statusBadge, took } from './runs.ts'
import { specFacts } from './specFacts.ts'

/** Null where there is no such run. */
export async function runPage(
  ctx: Pick<Context, 'db'>,
  viewer: Viewer,
  id: string,
  part: string | undefined,
): Promise<Response | null> {
  const data = await readRun(ctx, id)
  if (data === null) return null
  const { run } = data
  const ended = isTerminal(run.status)
  const live = liveSection(data)
  if (part === 'live') {
    const headers = {
      ...security,
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-run-ended': ended ? 'yes' : 'no',
    }
    return new Response(String(await live), { headers })
  }
  const body = html`<div
      ${ended ? '' : raw(`data-live data-run="${run.id}" data-cursor="${run.nextCursor - 1}"`)}
    >
      ${live}
    </div>
    <section>
      <header><h2>What it was asked to do</h2></header>
      <div class="card pad">${specFacts(run.spec)}</div>
    </section>`
  return respond({ title: run.name, viewer, at: 'runs', live: !ended, body })
}

function liveSection(data: RunData): Html {
  const { run, lines, started, cuts, gate } = data
  const retried =
    run.attempt > 1 && html`<li>attempt <b>${run.attempt}</b> of ${run.maxAttempts}</li>`
  return html`<div class="head">
      <div class="title">
        <h1>${run.name}</h1>
        ${statusBadge(run.status)}${run.cancelRequestedAt !== null && !isTerminal(run.status) && html` <span class="soft small">cancellation requested</span>`}
      </div>
      <ul class="facts">
        <li>
          ${run.kind === 'TRAIN' ? 'training of' : 'evaluation of'}
          <b
            >${run.evaluated === null ? run.baseModel.name : `${run.evaluated.name} on ${run.baseModel.name}`}</b
          >
        </li>
        ${run.dataset !== null && html`<li>on <b>${run.dataset.name}</b></li>`}
        <li>by <b>${run.account.name}</b></li>
        <li>${moment(run.createdAt)}</li>
        ${run.startedAt !== null && html`<li>${run.finishedAt === null ? 'running for' : 'took'} <b>${took(run)}</b></li>`}${retried}
        ${started !== null && html`<li>${started.device}, ${plural(started.threads, 'thread')}</li>`}${cuts !== null && cuts.pairs > 0 && html`<li>cut to fit: <b>${whole(cuts.pairs)}</b> of ${plural(cuts.looked, 'pair')}</li>`}
      </ul>
      ${progress(data)}
      ${
        run.failure !== null &&
        html`<div class="failure" role="alert">
          <h3>Failed: ${run.failure.code.toLowerCase().replaceAll('_', ' ')}</h3>
          <pre>${run.failure.message}</pre>
        </div>`
      }
    </div>
    ${
      run.comparison !== null &&
      html`<section>
        <header>
          <h2>Against its base model</h2>
          <p>
            Paired on the same questions.
            <a href="/comparisons/${run.comparison.id}">See what changed</a>
          </p>
        </header>
        ${comparisonTable(run.comparison.tasks, { baseline: run.baseModel.name, candidate: run.adapter?.name ?? run.evaluated?.name ?? run.name })}
      </section>`
    }
    ${
      gate !== null &&
      html`<section id="gate">
        <header><h2>Gate ${verdictTag(gate.verdict)}</h2></header>
        ${gateCard(gate)}
      </section>`
    }
    ${charts(data)} ${evaluationTable(data)}
    ${
      run.adapter !== null &&
      html`<section>
        <header><h2>Adapter</h2></header>
        <div class="card pad">
          <dl class="spec">
            <div>
              <dt>Name</dt>
              <dd>${run.adapter.name}</dd>
            </div>
            <div>
              <dt>Trained parameters</dt>
              <dd>
                ${whole(run.adapter.parameters)}
                <span class="faint">of a model of ${amount(run.baseModel.parameters)}</span>
              </dd>
            </div>
            ${
              run.adapter.step !== null &&
              html`<div>
                <dt>Taken after</dt>
                <dd>step ${whole(run.adapter.step)}</dd>
              </div>`
            }
            <div>
              <dt>Id</dt>
              <dd class="mono">${run.adapter.id}</dd>
            </div>
            <div>
              <dt>Content</dt>
              <dd class="mono" title="${run.adapter.sha256}">${short(run.adapter.sha256)}</dd>
            </div>
          </dl>
        </div>
      </section>`
    }
    <section>
      <header><h2>Log</h2></header>
      ${
        lines.length === 0
          ? html`<div class="card empty">
              ${run.status === 'QUEUED' ? 'It waits for its turn.' : 'Nothing was logged.'}
            </div>`
          : html`<pre class="card log" tabindex="0" aria-label="Log">
${lines.map(
  (line) => html`<span class="${line.level}">${clock(line.at)}${line.message}</span> `,
)}</pre>`
      }
    </section>`
}

function progress({ run, progress }: RunData): Html | null {
  if (progress === null || run.status !== 'RUNNING' || progress.total <= 0) return null
  const share = Math.min(1, progress.done / progress.total)
  const speed =
    progress.tokensPerSecond === null ? null : `${whole(progress.tokensPerSecond)} tokens/s`
  const eta = progress.etaSeconds === null ? null : `about ${duration(progress.etaSeconds)} left`
  return html`<div class="progress card pad">
    <p>
      <span
        >${progress.phase === 'TRAIN' ? 'Training' : 'Scoring'}: ${whole(progress.done)} of
        ${whole(progress.total)} ${progress.unit}</span
      >
      <span>${[speed, eta].filter(Boolean).join(' · ')}</span>
    </p>
    <svg
      role="progressbar"
      aria-label="Progress"
      aria-valuenow="${Math.round(share * 100)}"
      aria-valuemin="0"
      aria-valuemax="100"
    >
      <rect class="all" width="100%" height="100%" />
      <rect class="done" width="${(share * 100).toFixed(1)}%" height="100%" />
    </svg>
  </div>`
}

/** What people look at first, under the names that TRL logs; the others follow by name. */
const first = [
  'loss',
  'nll_loss',
  'log_odds_chosen',
  'rewards/margins',
  'rewards/accuracies',
  'learning_rate',
]

function charts({ run, curves, dataset }: RunData): Html | null {
  const benchmarks = benchmarkCurves(run, curves.keys())
  const trained = [...curves.keys()].filter((name) => !benchmarks.has(name))
  const names = [...new Set(trained.map((name) => name.replace(/^eval_/, '')))]
  if (curves.size === 0) return null
  const lastStep = Math.max(...[...curves.values()].map((points) => points.at(-1)!.step))
  const steps = run.status === 'SUCCEEDED' ? lastStep : Math.max(lastStep, dataset?.steps ?? 0)
  const draw = (name: string) =>
    chart({ name, train: curves.get(name) ?? [], held: curves.get(`eval_${name}`) ?? [], steps })
  const start = run.evaluated === null ? run.baseModel.name : run.evaluated.name
  const drawScored = ([name, { title, documents }]: [string, Benchmark]) => {
    const held = curves.get(name)!
    const [before] = held
    const reference = before?.step === 0 ? { name: start, value: before.value } : null
    return chart({ name: title, train: [], held, heldOn: documents, reference, steps })
  }
  const others = names.filter((name) => !first.includes(name)).sort()
  return html`<section>
    <header><h2>Curves</h2></header>
    <div class="charts">
      ${first.filter((name) => names.includes(name)).map(draw)}${[...benchmarks].map(drawScored)}
    </div>
    ${
      others.length > 0 &&
      html`<section>
        <details>
          <summary>${plural(others.length, 'further curve')}</summary>
          <div class="charts">${others.map(draw)}</div>
        </details>
      </section>`
    }
  </section>`
}

type Benchmark = { readonly title: string; readonly documents: string }

/** The curves that tasks have during training, with what they are titled. */
function benchmarkCurves(
  { spec }: RunData['run'],
  names: Iterable<string>,
): ReadonlyMap<string, Benchmark> {
  const asked = spec.kind === 'TRAIN' ? (spec.benchmarks?.tasks ?? []) : []
  const found = new Map<string, Benchmark>()
  for (const name of [...names].sort())
    for (const { settings } of asked) {
      const { task, limit } = settings
      const prefix = `eval_${task}/`
      if (!name.startsWith(prefix)) continue
      const title = `${tasks.get(task)?.title ?? task}, ${name.slice(prefix.length)}`
      found.set(name, { title, documents: `first ${whole(limit!)} documents` })
    }
  return found
}

function evaluationTable({ run }: RunData): Html | null {
  if (run.evaluations.length === 0) return null
  return html`<section>
    <header>
      <h2>Evaluations</h2>
      <p class="soft small">
        ${run.status === 'SUCCEEDED' && html`<a href="/exports/runs/${run.id}/results.json">results.json</a>`}
        ${run.status === 'SUCCEEDED' && suiteNames(run).length > 0 && html` · <a href="/exports/runs/${run.id}/summary.md">summary.md</a>`}
      </p>
    </header>
    <div class="card scroll">
      <table class="stack">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Subject</th>
            <th scope="col">Scores</th>
            <th scope="col" class="number">Documents</th>
            <th scope="col">Prompt</th>
            <th scope="col">Samples</th>
          </tr>
        </thead>
        <tbody>
          ${run.evaluations.map(
            ({
              id,
              task,
              adapter,
              scores,
              documents,
              contaminated,
              promptHash,
              finishedAt,
              stoppedEarly,
            }) =>
              html`<tr>
                <th scope="row" class="name">${tasks.get(task)?.title ?? task}</th>
                <td class="wide">
                  ${adapter?.name ?? html`${run.baseModel.name} <span class="faint">base</span>`}
                </td>
                <td class="wide">
                  ${finishedAt === null ? html`<span class="soft">${stoppedEarly ? 'stopped early: its gate had enough' : 'being scored'}</span>` : scores.sort((a, b) => (a.metric < b.metric ? -1 : 1)).map(({ metric, value, standardError }) => html`<span class="pair"><span class="faint small">${metric}</span> ${score(value)} <span class="soft small">${standardError !== null && html`± ${score(standardError)}`}</span></span> `)}
                </td>
                <td class="number" data-label="documents">
                  ${whole(documents)}${contaminated !== null && contaminated > 0 && html` <span class="down small">${whole(contaminated)} in the training rows</span>`}
                </td>
                <td data-label="prompt"><code title="${promptHash}">${short(promptHash)}</code></td>
                <td data-label="samples">
                  ${finishedAt !== null && ['jsonl', 'parquet'].map((kind) => html`<a href="/exports/evaluations/${id}/samples.${kind}">${kind}</a> `)}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`
}
