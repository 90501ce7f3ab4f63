/** The standard normal distribution, to double precision in both tails. */

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

/**
 * P[Z <= x]. Near 0 by Marsaglia's series (Journal of Statistical Software 11, 2004), Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/15 + …);
 * in the lower tail, where the sum would cancel, by Laplace's continued fraction φ(x) / (x + 1 / (x + 2 / (x + …))).
 */
export function cumulative(x: number): number {
  if (x > 2.5) return 1 - cumulative(-x)
  if (x < -2.5) {
    let fraction = -x
    for (let k = 120; k > 0; k -= 1) fraction = -x + k / fraction
    return density(x) / fraction
  }
  let [term, sum] = [x, x]
  for (let k = 3; Math.abs(term) > Math.abs(sum) * Number.EPSILON; k += 2) {
    term *= (x * x) / k
    sum += term
  }
  return 0.5 + density(x) * sum
}

/**
 * The x with P[Z <= x] = p: Abramowitz and Stegun 26.2.23 (error below 5e-4), then Halley's steps, each of which triples the
 * number of right digits. Infinite at 0 and 1.
 */
export function quantile(p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`quantile: expected 0 <= p <= 1, got ${p}`)
  if (p > 0.5) return -quantile(1 - p)
  if (p === 0) return -Infinity
  const t = Math.sqrt(-2 * Math.log(p))
  let x =
    (2.515517 + 0.802853 * t + 0.010328 * t * t) /
      (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3) -
    t
  for (let step = 0; step < 3; step += 1) {
    const newton = (cumulative(x) - p) / density(x)
    x -= newton / (1 + (x * newton) / 2)
  }
  return x
}
