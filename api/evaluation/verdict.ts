/** What a claim about a difference needs to be accepted, and what to be refused. */
import type { Interval } from './confidence.ts'

/** PASS: evidence for the claim. FAIL: evidence against it. UNDECIDED: neither, so more samples are needed. */
export type Verdict = 'PASS' | 'FAIL' | 'UNDECIDED'

/**
 * SUPERIORITY: candidate - baseline is above `margin`. NON_INFERIORITY: it is above -`margin`. Higher scores are better.
 * `alpha` is one-sided: the probability of a PASS where the claim is just false, and of a FAIL where it is just true.
 */
export type Claim = {
  readonly kind: 'SUPERIORITY' | 'NON_INFERIORITY'
  /** On the metric's scale, at least 0. */
  readonly margin: number
  readonly alpha: number
}

/** The difference above which the claim is true. */
export const boundOf = ({ kind, margin }: Pick<Claim, 'kind' | 'margin'>): number =>
  kind === 'SUPERIORITY' ? margin : -margin

/** The level of the two-sided interval each of whose ends errs with probability alpha. */
export const levelOf = ({ alpha }: Pick<Claim, 'alpha'>): number => 1 - 2 * alpha

/** By an interval at `levelOf(claim)`. */
export function decide({ low, high }: Interval, claim: Pick<Claim, 'kind' | 'margin'>): Verdict {
  const bound = boundOf(claim)
  if (low > bound) return 'PASS'
  return high < bound || (claim.kind === 'SUPERIORITY' && high === bound) ? 'FAIL' : 'UNDECIDED'
}
