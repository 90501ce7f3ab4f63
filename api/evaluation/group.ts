/** One number for several tasks, as lm-evaluation-harness aggregates groups: over leaf tasks, not over means of subgroups. */
import type { Weighting } from '#schema/suites.ts'

/** A task's score within a group; its standard error is null where there is none ("N/A" there). */
export type Member = {
  readonly n: number
  readonly mean: number
  readonly standardError: number | null
}

/**
 * The mean over members and its standard error: pooled, sqrt(Σ (n - 1) n se² / (N - k) / N), for BY_SIZE, and sqrt(Σ se²) / k for
 * EQUALLY, which takes the members for independent (a benchmark that is counted twice is not). The standard error is null where
 * a member has none. Null for no members.
 */
export function aggregate(members: readonly Member[], weighting: Weighting): Member | null {
  if (members.length === 0) return null
  const n = members.reduce((sum, member) => sum + member.n, 0)
  const weightOf = (member: Member) => (weighting === 'BY_SIZE' ? member.n : 1)
  const total = members.reduce((sum, member) => sum + weightOf(member), 0)
  const mean = members.reduce((sum, member) => sum + member.mean * weightOf(member), 0) / total
  return { n, mean, standardError: standardErrorOf(members, n, weighting) }
}

function standardErrorOf(
  members: readonly Member[],
  n: number,
  weighting: Weighting,
): number | null {
  let sum = 0
  for (const { n: size, standardError } of members) {
    if (standardError === null) return null
    sum += standardError ** 2 * (weighting === 'BY_SIZE' ? (size - 1) * size : 1)
  }
  return weighting === 'BY_SIZE'
    ? Math.sqrt(sum / (n - members.length) / n)
    : Math.sqrt(sum) / members.length
}
