/** How small a difference a comparison of n pairs can see, and how many pairs a given difference needs. */
import { differenceOf, type Paired } from './difference.ts'
import { quantile } from './normal.ts'

export type Plan = {
  /** Probability of claiming a difference where there is none; 0.05 where it is not said. */
  readonly alpha?: number
  /** Probability of seeing a difference that is there; 0.8 where it is not said. */
  readonly power?: number
  /** 2: differences in either direction; 1: in the one direction that a rule asks for. 2 where it is not said. */
  readonly sides?: 1 | 2
}

/** Standard errors up to the border of the test, and from there to the true difference. */
function distances({ alpha = 0.05, power = 0.8, sides = 2 }: Plan) {
  if (!(alpha > 0 && alpha < 1 && power > 0 && power < 1 && alpha / sides < power))
    throw new RangeError(
      `plan: expected 0 < alpha < power < 1, got alpha ${alpha} and power ${power}`,
    )
  return { border: quantile(1 - alpha / sides), beyond: quantile(power) }
}

/**
 * The smallest true mean difference that n pairs show with the given power, for scores whose differences have this standard
 * deviation: (z(1 - α/sides) + z(power)) · sd / sqrt(n). Two-sided, the chance to reject in the wrong direction (below 1e-6 at
 * the defaults) is left out.
 */
export function detectable(n: number, deviation: number, plan: Plan = {}): number {
  const { border, beyond } = distances(plan)
  return ((border + beyond) * deviation) / Math.sqrt(n)
}

/** The inverse: pairs, rounded up, that a true mean difference of `margin` needs. Infinity for a margin of 0. */
export function needed(margin: number, deviation: number, plan: Plan = {}): number {
  const { border, beyond } = distances(plan)
  if (margin === 0) return Infinity
  return Math.max(2, Math.ceil((((border + beyond) * deviation) / margin) ** 2))
}

/**
 * The same for right/wrong scores of which a share `discordant` differs between the sides (Connor, Biometrics 43, 1987): the spread
 * is sqrt(discordant) where nothing changed and sqrt(discordant - d²) where the difference is d. A difference above the share is
 * thought to raise it: then every discordant pair turns one way. Infinity where n pairs that all turned one way would not do.
 */
export function detectableBinary(n: number, discordant: number, plan: Plan = {}): number {
  const { border, beyond } = distances(plan)
  // border · sqrt(p) + beyond · sqrt(p - d²) = d · sqrt(n), solved for d.
  const inside = discordant * (n - border ** 2 + beyond ** 2)
  if (n <= border ** 2) return Infinity
  const d = (border * Math.sqrt(discordant * n) + beyond * Math.sqrt(inside)) / (n + beyond ** 2)
  if (d <= discordant) return d
  // With p = d it is border + beyond · sqrt(1 - d) = sqrt(d n), whose right side rises and whose left side falls.
  let [low, high] = [0, 1]
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2
    if (border + beyond * Math.sqrt(1 - middle) > Math.sqrt(middle * n)) low = middle
    else high = middle
  }
  return high
}

/** The inverse: pairs, rounded up. Infinity for a margin of 0. */
export function neededBinary(margin: number, discordant: number, plan: Plan = {}): number {
  const { border, beyond } = distances(plan)
  const d = Math.abs(margin)
  if (d === 0) return Infinity
  const p = Math.max(discordant, d)
  const root = border * Math.sqrt(p) + beyond * Math.sqrt(p - d * d)
  return Math.max(2, Math.ceil((root / d) ** 2))
}

/**
 * The share of pairs that differ, for planning: half a pair is added to each cell of the 2×2 table (Agresti and Min 2005), because
 * none of n found differing does not mean that none will.
 */
export const discordance = ({ gained, lost, n }: Pick<Paired, 'gained' | 'lost' | 'n'>): number =>
  (gained + lost + 1) / (n + 2)

/** The standard deviation of the differences, for planning; null for one pair of graded scores, which says nothing of it. */
export function spread(paired: Paired): number | null {
  if (!paired.binary) return paired.deviation
  const p = discordance(paired)
  return Math.sqrt(Math.max(0, p - differenceOf(paired) ** 2))
}

/**
 * The minimal detectable effect of a comparison at 80% power: the smallest true difference that as many pairs, as spread as these,
 * would show. Null for one pair of graded scores, or none.
 */
export function minimalDetectableEffect(paired: Paired, plan: Plan = {}): number | null {
  if (paired.n === 0) return null
  if (paired.binary) return detectableBinary(paired.n, discordance(paired), plan)
  return paired.deviation === null ? null : detectable(paired.n, paired.deviation, plan)
}
