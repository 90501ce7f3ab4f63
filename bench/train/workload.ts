/** What is trained in the benchmark: the spec, and the pairs of each optimizer step in the order in which all sides take them. */
import { openRows } from '#gpu-runtime/data/rows.ts'
import { split } from '#gpu-runtime/data/split.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { Pairs } from '#gpu-runtime/training/pairs.ts'
import { plan } from '#gpu-runtime/training/plan.ts'
import { Engine, LoraSpec, Recipe, type TrainSpec } from '#schema/spec.ts'

/** What a side is told on its command line, as JSON. */
export type Setting = {
  readonly model: string
  readonly dataset: string
  /** NONE unless said. */
  readonly quantization?: TrainSpec['quantization']
  readonly recompute: TrainSpec['engine']['recompute']
  readonly threads: number
  /** Optimizer steps of the whole schedule; null for one pass over the rows. */
  readonly maxSteps: number | null
}

/** The recipe's defaults are the workload: batch 2 × accumulation 4, 1024/512, LoRA r=16 on seven linears. No evaluation. */
export const trainSpec = ({
  model,
  dataset,
  quantization = 'NONE',
  recompute,
  threads,
  maxSteps,
}: Setting): TrainSpec => ({
  kind: 'TRAIN',
  model: { path: model, revision: '0'.repeat(64) },
  adapter: null,
  quantization,
  dataset: { path: dataset, sha256: '0'.repeat(64), shuffle: true, limit: null, testSize: 0 },
  recipe: Recipe.parse({ maxSteps, evalEvery: 0, checkpointEvery: 0 }),
  lora: LoraSpec.parse({}),
  engine: Engine.parse({ recompute, threads }),
  evaluate: [],
})

export type Workload = {
  /** Steps of the schedule, of which only the first are run. */
  readonly totalSteps: number
  /** [step][pair]. */
  readonly steps: readonly (readonly Pair[])[]
}

/** The pairs of the first `count` steps, as train() takes them. */
export async function workload(setting: Setting, count: number): Promise<Workload> {
  const { recipe, dataset } = trainSpec(setting)
  const rows = await openRows(setting.dataset)
  try {
    const pairs = new Pairs(rows, await openText(setting.model), recipe)
    const { train } = split(pairs.count, { ...dataset, seed: recipe.seed })
    const { steps: totalSteps, microBatches } = plan(train.length, recipe, dataset.shuffle)
    if (count > totalSteps)
      throw new Error(`${setting.dataset} gives ${totalSteps} steps, ${count} were asked for`)
    const steps: Pair[][] = []
    for (let step = 1; step <= count; step++)
      steps.push(
        await Promise.all(
          microBatches(step)
            .flat()
            .map((i) => pairs.get(train[i]!)),
        ),
      )
    return { totalSteps, steps }
  } finally {
    await rows.close()
  }
}
