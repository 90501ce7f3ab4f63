/** The optimizers by their names in a recipe. */
import type { Recipe } from '#schema/spec.ts'
import type { Engine } from '../onnx/engine.ts'
import { AdamW, adamDefaults, layout32bit, type AdamWSettings } from './adamw.ts'
import { AdamW8bit, layout8bit } from './adamw8bit.ts'
import { noMoments, type Layout, type Moments } from './moments.ts'

type Kind = {
  /** Of trainables of `sizes` values each, as they lie in the flat vector. */
  layout(sizes: readonly number[]): Layout
  make(engine: Engine, settings: AdamWSettings, sizes: readonly number[]): AdamW | AdamW8bit
}

const adamw8bit: Kind = {
  layout: layout8bit,
  make: (engine, settings, sizes) => new AdamW8bit(engine, settings, sizes),
}

const kinds: { readonly [O in Recipe['optimizer']]: Kind } = {
  ADAMW: {
    layout: layout32bit,
    make: (engine, settings) => new AdamW(engine, settings),
  },
  ADAMW_8BIT: adamw8bit,
  // Paging moves moments between card and host as they are needed. Here they live in host memory.
  PAGED_ADAMW_8BIT: adamw8bit,
}

/** The moments that a recipe's optimizer keeps of trainables of `sizes` values each. */
export const layoutOf = (
  { optimizer }: Pick<Recipe, 'optimizer'>,
  sizes: readonly number[],
): Layout => kinds[optimizer].layout(sizes)

/** An optimizer over the engine's vectors `trainables` and `gradient`. */
export type Optimizer = {
  /**
   * Step `step` (1, 2, ...) at a learning rate; returns the gradient's norm before clipping: when it is not finite, nothing has
   * moved. One request to the engine, so that
   * whatever it is asked next comes after the whole step.
   */
  step(step: number, rate: number): Promise<number>
  /** A copy, for a checkpoint. */
  moments(): Promise<Moments>
}

/** The recipe's optimizer for trainables of `sizes` values each, going on from `moments` or from none. */
export async function openOptimizer(
  engine: Engine,
  recipe: Recipe,
  sizes: readonly number[],
  moments: Moments | null = null,
  betas: { readonly beta1: number; readonly beta2: number } = adamDefaults,
): Promise<Optimizer> {
  const { optimizer, weightDecay, maxGradNorm } = recipe
  const settings = { ...adamDefaults, ...betas, weightDecay, maxGradNorm }
  const made = kinds[optimizer].make(engine, settings, sizes)
  const layout = layoutOf(recipe, sizes)
  for (const [name, data] of Object.entries(moments ?? noMoments(layout)))
    await engine.write(name, data)
  return {
    step: (step, rate) => made.step(step, rate),
    moments: async () =>
      Object.fromEntries(
        await Promise.all(
          Object.keys(layout).map(async (name) => [name, await engine.read(name)] as const),
        ),
      ),
  }
}
