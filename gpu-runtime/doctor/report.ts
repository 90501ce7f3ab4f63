/** What was examined, as one page for a terminal. */

/** `untested`: there is nothing here to test it on. */
export type State = 'ok' | 'wrong' | 'untested'

export type Finding = {
  readonly what: string
  readonly state: State
  /** What was found, measured numbers with their units. */
  readonly found: string
  /** What to do about it, when it is wrong. */
  readonly advice?: string
}

const signs: Readonly<Record<State, string>> = { ok: 'ok', wrong: 'WRONG', untested: '–' }

/** One line a finding, then what is wrong and what to do. */
export function page(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ what }) => what.length))
  const lines = findings.map(
    ({ what, state, found }) => `${what.padEnd(width)}  ${signs[state].padEnd(5)}  ${found}`,
  )
  const wrong = findings.filter(({ state }) => state === 'wrong')
  const verdict =
    wrong.length === 0
      ? ['Nothing is wrong.']
      : [
          `${wrong.length === 1 ? '1 thing is' : `${wrong.length} things are`} wrong:`,
          ...wrong.map(({ what, found, advice }) => `  ${what}: ${advice ?? found}`),
        ]
  const untested = findings.filter(({ state }) => state === 'untested').map(({ what }) => what)
  if (untested.length > 0) verdict.push(`Not tested here: ${untested.join(', ')}.`)
  return [...lines, '', ...verdict].join('\n')
}
