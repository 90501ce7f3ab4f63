/** Whether a candidate may take its baseline's place: rules over a comparison, judged with their uncertainty. */
import { InvalidInput, type Issue } from '../problem.ts'
import type { Interval } from './confidence.ts'
import type { Paired } from './difference.ts'
import { holm } from './holm.ts'
import { cumulative } from './normal.ts'
import { detectable, needed } from './power.ts'
import { differSuite, suiteIntervalOf, suiteSpread, type PairedTask } from './suite.ts'
import { boundOf, decide, levelOf, type Claim, type Verdict } from './verdict.ts'

/** A task on which both sides were scored; higher scores are better. */
export type ComparedTask = {
  readonly task: string
  /** The metric of rules that name none. */
  readonly headline: string
  readonly metrics: Readonly<Record<string, Paired>>
}

/** A claim about one task, or about the mean over several, each counting once. */
export type Rule = Omit<Claim, 'alpha'> & {
  /** 0.05 where it is not said. */
  readonly alpha?: number
  /** Of one task. Without `task` and `tasks`: the suite of all tasks of the comparison. */
  readonly task?: string | null
  /** Of the suite of these tasks. */
  readonly tasks?: readonly string[] | null
  /** What a task of the suite counts beside the others: 2 where its documents stand in for two tasks'. 1 where it is not said. */
  readonly weights?: Readonly<Record<string, number>> | null
  /** Each task's headline where it is not said. */
  readonly metric?: string | null
}

export type Judgement = Interval & {
  readonly rule: Rule
  readonly verdict: Verdict
  /** Pairs, over all tasks of the rule. */
  readonly n: number
  readonly leftOut: number
  /** NaN, as `low` and `high`, where a task has no pair. */
  readonly difference: number
  /** Of `low` to `high`: 1 - 2 alpha, either end being one-sided. */
  readonly level: number
  /** One-sided, of the claim being false; adjusted where that was asked for. Null where the samples ended with the verdict. */
  readonly pValue: number | null
  /** The smallest distance of the true difference to the rule's bound that these pairs decide at 80% power. */
  readonly detectable: number | null
  /** Where UNDECIDED: pairs that decide at 80% power if the true difference is the one observed (in a suite, of all tasks in
   * proportion). Null where nothing can be said. */
  readonly needed: number | null
  /** One line for a log. */
  readonly reason: string
  /** Of a sequential rule whose verdict came before the last document. */
  readonly stopped?: Stopped
}

export type Stopped = {
  readonly because: 'CERTAIN' | 'INTERVAL'
  /** Documents that the verdict rests on, and documents that were never scored. */
  readonly used: number
  readonly saved: number
}

export type Gate = { readonly verdict: Verdict; readonly judgements: readonly Judgement[] }

export type GateOptions = {
  /**
   * HOLM: the verdicts hold for all rules at once; a wrong PASS among them, and likewise a wrong FAIL, has probability alpha, which
   * must then be the same for all. NONE (the default) is enough for the whole gate's PASS, which needs every rule's.
   */
  readonly adjust?: 'NONE' | 'HOLM'
}

const mostRules = 200

/** Where a larger share of the documents has no pair, the rest may not speak for them. */
const mostLeftOut = 0.01

/**
 * One FAIL fails the gate; without one, one UNDECIDED leaves it undecided. InvalidInput, naming the rule, for a task or metric that
 * the comparison does not have, and for numbers that mean nothing: what was not measured does not pass.
 */
export function gate(
  comparison: readonly ComparedTask[],
  rules: readonly Rule[],
  { adjust = 'NONE' }: GateOptions = {},
): Gate {
  const issues: Issue[] = []
  if (rules.length === 0 || rules.length > mostRules)
    issues.push({
      path: ['rules'],
      message: `expected 1 to ${mostRules} rules, got ${rules.length}`,
    })
  const alphas = new Set(rules.map(({ alpha = 0.05 }) => alpha))
  if (adjust === 'HOLM' && alphas.size > 1)
    issues.push({
      path: ['rules'],
      message: `HOLM: expected one alpha for all rules, got ${[...alphas].join(', ')}`,
    })
  const subjects = rules
    .slice(0, mostRules)
    .map((rule, i) => subjectOf(comparison, rule, ['rules', String(i)], issues))
  if (issues.length > 0) throw new InvalidInput(issues)

  const measured = subjects.map((subject, i) => measure(subject, rules[i]!))
  const adjusted = (side: 'passes' | 'fails') => {
    const pValues = measured.map((found) => found[side])
    return adjust === 'HOLM' ? holm(pValues) : pValues
  }
  const [passes, fails] = [adjusted('passes'), adjusted('fails')]
  const judgements = measured.map((found, i) => {
    const { alpha } = found.claim
    const byInterval = decide(found, found.claim)
    const byPValue = passes[i]! <= alpha ? 'PASS' : fails[i]! <= alpha ? 'FAIL' : 'UNDECIDED'
    const verdict =
      found.unusable !== null ? 'UNDECIDED' : adjust === 'HOLM' ? byPValue : byInterval
    return judge(found, rules[i]!, verdict, passes[i]!, adjust)
  })
  return gateOf(judgements)
}

/** One FAIL fails, and without one an UNDECIDED leaves it so. */
export function gateOf(judgements: readonly Judgement[]): Gate {
  const verdicts = judgements.map(({ verdict }) => verdict)
  const verdict = verdicts.includes('FAIL')
    ? 'FAIL'
    : verdicts.includes('UNDECIDED')
      ? 'UNDECIDED'
      : 'PASS'
  return { verdict, judgements }
}

type Subject = { readonly name: string; readonly tasks: readonly PairedTask[] }

/** What a rule is about. Adds to `issues` what is wrong with it. */
function subjectOf(
  comparison: readonly ComparedTask[],
  rule: Rule,
  path: readonly string[],
  issues: Issue[],
): Subject {
  const { kind, margin, alpha = 0.05, task, tasks, metric, weights } = rule
  const wrong = (field: string, message: string) => issues.push({ path: [...path, field], message })
  if (kind !== 'SUPERIORITY' && kind !== 'NON_INFERIORITY')
    wrong('kind', `expected SUPERIORITY or NON_INFERIORITY, got ${String(kind)}`)
  if (!(margin >= 0 && margin < Infinity))
    wrong('margin', `expected a number from 0, got ${margin}`)
  if (!(alpha > 0 && alpha < 0.5))
    wrong('alpha', `expected a number between 0 and 0.5, got ${alpha}`)
  if (task != null && tasks != null) wrong('tasks', 'expected either task or tasks, got both')
  const names = task != null ? [task] : (tasks ?? comparison.map((compared) => compared.task))
  const field = task != null ? 'task' : 'tasks'
  if (names.length === 0 || new Set(names).size < names.length)
    wrong(field, `expected different tasks, at least one, got ${names.join(', ') || 'none'}`)

  for (const [name, weight] of Object.entries(weights ?? {}))
    if (!names.includes(name) || !(weight > 0 && weight < Infinity))
      wrong(
        'weights',
        `expected positive numbers for tasks of the suite, got ${weight} for ${name}`,
      )

  const found = names.flatMap((name) => {
    const compared = comparison.find((other) => other.task === name)
    if (compared === undefined) {
      const known = comparison.map((other) => other.task).join(', ') || 'none'
      wrong(field, `expected a task of the comparison (${known}), got "${name}"`)
      return []
    }
    const wanted = metric ?? compared.headline
    const paired = Object.hasOwn(compared.metrics, wanted) ? compared.metrics[wanted] : undefined
    if (paired === undefined) {
      const known = Object.keys(compared.metrics).join(', ') || 'none'
      wrong('metric', `expected a metric of ${name} (${known}), got "${wanted}"`)
      return []
    }
    return [{ metric: wanted, paired, weight: weights?.[name] ?? 1 }]
  })
  if (new Set(found.map(({ paired: { bounded = true } }) => bounded)).size > 1)
    wrong('metric', 'expected metrics of one scale, got log-likelihoods and scores from 0 to 1')
  const name =
    task == null
      ? `suite of ${names.length}${metric == null ? '' : ` ${metric}`}`
      : `${task} ${found[0]?.metric ?? ''}`
  return { name, tasks: found }
}

type Measured = Interval & {
  readonly name: string
  readonly claim: Claim
  readonly n: number
  readonly leftOut: number
  readonly difference: number
  readonly deviation: number | null
  /** One-sided p-values of the claim being false, and of it being true. */
  readonly passes: number
  readonly fails: number
  /** Why no verdict may rest on this. */
  readonly unusable: string | null
}

function measure({ name, tasks }: Subject, { kind, margin, alpha = 0.05 }: Rule): Measured {
  const claim = { kind, margin, alpha }
  const leftOut = tasks.reduce((sum, { paired }) => sum + paired.leftOut, 0)
  const suite = differSuite(tasks, levelOf(claim))
  if (suite === null) {
    const nothing = { low: NaN, high: NaN, difference: NaN, n: 0, deviation: null }
    const unusable = `nothing could be paired, ${leftOut} left out`
    return { name, claim, leftOut, ...nothing, passes: 1, fails: 1, unusable }
  }
  const { n, difference, low, high } = suite
  const standardError = suiteSpread(tasks)
  const deviation = standardError === null ? null : standardError * Math.sqrt(n)
  const partial = tasks.some(
    ({ paired }) => paired.leftOut > mostLeftOut * (paired.n + paired.leftOut),
  )
  const unusable = partial
    ? `${leftOut} of ${n + leftOut} documents have no pair, so the others may not speak for them`
    : null
  const passes = pValueOf(tasks, boundOf(claim))
  return {
    name,
    claim,
    leftOut,
    n,
    difference,
    low,
    high,
    deviation,
    passes,
    fails: 1 - passes,
    unusable,
  }
}

/** The smallest one-sided alpha at which the lower end lies above the bound; above ½, what is left of the upper end's. */
function pValueOf(tasks: readonly PairedTask[], bound: number): number {
  const above = suiteIntervalOf(tasks, 0).low > bound
  const excludes = (z: number) => {
    const { low, high } = suiteIntervalOf(tasks, z)
    return above ? low > bound : high < bound
  }
  let [low, high] = [0, 38] // beyond, P[Z > z] is 0 in double precision
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2
    if (excludes(middle)) low = middle
    else high = middle
  }
  return above ? cumulative(-low) : cumulative(low)
}

function judge(
  found: Measured,
  rule: Rule,
  verdict: Verdict,
  pValue: number,
  adjust: 'NONE' | 'HOLM',
): Judgement {
  const { n, leftOut, difference, low, high, claim, deviation } = found
  const bound = boundOf(claim)
  const plan = { alpha: claim.alpha, sides: 1 } as const
  const usable = deviation !== null && found.unusable === null
  const least = usable ? needed(difference - bound, deviation, plan) : Infinity
  const more = verdict === 'UNDECIDED' && least < Infinity ? Math.max(n + 1, least) : null
  return {
    rule,
    verdict,
    n,
    leftOut,
    difference,
    low,
    high,
    level: levelOf(claim),
    pValue,
    detectable: usable ? detectable(n, deviation, plan) : null,
    needed: more,
    reason: reasonOf(found, verdict, more, pValue, adjust),
  }
}

function reasonOf(
  found: Measured,
  verdict: Verdict,
  more: number | null,
  pValue: number,
  adjust: 'NONE' | 'HOLM',
): string {
  const { name, claim, n, leftOut, difference, low, high, unusable } = found
  const head = `${verdict} ${name}: `
  if (unusable !== null) return head + unusable
  const percent = Number((100 * levelOf(claim)).toFixed(4))
  const seen =
    `difference ${signed(difference)}, ${percent}% interval ${signed(low)} to ${signed(high)}, n ${n}` +
    (leftOut === 0 ? '' : ` (${leftOut} left out)`) +
    (adjust === 'HOLM' ? `, Holm-adjusted p ${pValue.toPrecision(2)}` : '')
  const wanted = claim.kind === 'SUPERIORITY' ? 'superior' : 'not inferior'
  const bound = `${claim.kind === 'SUPERIORITY' ? 'by more than' : 'by more than the margin'} ${plain(claim.margin)}`
  if (verdict === 'PASS') return `${head}${seen}: ${wanted} ${bound}`
  if (verdict === 'FAIL')
    return `${head}${seen}: ${claim.kind === 'SUPERIORITY' ? 'not superior' : 'inferior'} ${bound}`
  const samples =
    more === null
      ? 'no number of samples is known that would decide'
      : `about ${more} would decide, with 80% power, if the difference stays`
  return `${head}${seen}: not enough samples to say whether it is ${wanted} ${bound}; ${samples}`
}

/** Four places for shares and accuracies, more for what is smaller than they show. */
const plain = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toPrecision(2) : String(Number(value.toFixed(4)))
const signed = (value: number): string => (value > 0 ? '+' : '') + plain(value)
