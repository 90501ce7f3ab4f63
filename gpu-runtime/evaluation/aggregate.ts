/** What samples of a task come to, by metric: Σ score / Σ weight on the metric's scale. */
import { aggregates, metrics, type Metric } from '#schema/metrics.ts'
import type { Sample } from '#schema/protocol.ts'

/** A value beyond the numbers is left out, as a perplexity can be. */
export function aggregate(samples: readonly Sample[]): { [M in Metric]?: number } {
  const sums = new Map<Metric, { score: number; weight: number }>()
  for (const { scores, weights } of samples)
    for (const [name, score] of Object.entries(scores)) {
      const metric = name as Metric
      const sum = sums.get(metric) ?? { score: 0, weight: 0 }
      sum.score += score!
      sum.weight += weights?.[metric] ?? 1
      sums.set(metric, sum)
    }
  return Object.fromEntries(
    [...sums]
      .map(
        ([metric, { score, weight }]) =>
          [metric, aggregates[metrics[metric].aggregate](score / weight)] as const,
      )
      .filter(([, value]) => Number.isFinite(value)),
  )
}
