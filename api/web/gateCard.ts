/** A gate's verdict with its reasons: on the run's page and on the comparison's. */
import { html, raw } from 'hono/html'
import type { Gate } from '../evaluation/gate.ts'
import type { Verdict } from '../evaluation/verdict.ts'
import type { Html } from './layout.ts'

const tones: Record<Verdict, string> = { PASS: 'up', FAIL: 'down', UNDECIDED: '' }

export const verdictTag = (verdict: Verdict): Html =>
  html`<span class="tag ${tones[verdict]}">${verdict.toLowerCase()}</span>`

export const gateCard = ({ judgements }: Gate): Html =>
  html`<div class="card pad">
    <ul class="judgements">
      ${judgements.map(
        ({ verdict, reason }) =>
          html`<li>${verdictTag(verdict)} <span>${reason.slice(verdict.length + 1)}</span></li>`,
      )}
    </ul>
  </div>`

export type Question = {
  readonly claim: 'SUPERIORITY' | 'NON_INFERIORITY'
  readonly margin: number
  readonly over: 'each' | 'mean'
}

/** A form that asks for a verdict by the page's address. */
export function gateForm(path: string, { claim, margin, over }: Question): Html {
  const option = (value: string, current: string, text: string) =>
    html`<option value="${value}" ${value === current ? raw('selected') : ''}>${text}</option>`
  return html`<form class="gate" method="get" action="${path}#gate">
    <label>
      Is the candidate
      <select name="claim">
        ${option('NON_INFERIORITY', claim, 'not worse')} ${option('SUPERIORITY', claim, 'better')}
      </select>
    </label>
    <label>
      by more than
      <input name="margin" inputmode="decimal" value="${margin}" size="6" />
    </label>
    <label>
      on
      <select name="over">
        ${option('each', over, 'each task')} ${option('mean', over, 'the mean over tasks')}
      </select>
    </label>
    <button>Judge</button>
  </form>`
}
