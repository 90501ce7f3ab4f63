/** What a gate says of its rules, for people and for exit codes. */
import { exitCodes } from './exit.ts'
import { table } from './output.ts'
import type { Rules } from './rules.ts'

type Verdict = 'PASS' | 'FAIL' | 'UNDECIDED'
/** A gate's answer. */
export type Judged = {
  readonly verdict: Verdict
  readonly judgements: readonly {
    readonly verdict: Verdict
    readonly reason: string
    readonly kind: string
    readonly margin: number
    readonly task: string | null
    readonly n: number
    readonly difference: number | null
    readonly low: number | null
    readonly high: number | null
    readonly needed: number | null
    /** Where a sequential gate had enough: CERTAIN or INTERVAL, documents that it took, and that it did not. */
    readonly because: string | null
    readonly used: number | null
    readonly saved: number | null
  }[]
}

/** What a document asks of a Gate. */
export const judgedFields =
  'verdict judgements { verdict reason kind margin task n difference low high needed because used saved }'

export const verdictExits = {
  PASS: exitCodes.OK,
  FAIL: exitCodes.FAIL,
  UNDECIDED: exitCodes.UNDECIDED,
}

/** A row a rule, the reasons, and the verdict on a line of its own. */
export const verdictText = ({ verdict, judgements }: Judged, { rules }: Rules): string =>
  [
    table(
      ['rule', 'claim', 'verdict', 'difference', 'interval', 'n'],
      judgements.map((j, i) => [
        j.task ?? rules[i]!.suite ?? 'mean',
        `${j.kind === 'SUPERIORITY' ? '> ' : '> −'}${j.margin}`,
        j.verdict,
        number(j.difference),
        `[${number(j.low)}, ${number(j.high)}]`,
        String(j.n),
      ]),
      3,
    ),
    '',
    ...judgements.map(({ reason }) => reason),
    '',
    verdict,
  ].join('\n')

const number = (x: number | null): string =>
  x === null ? '—' : `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(4)}`
