/** The memory of a training step before it is run. */
import type { Engine as EngineSpec, LoraSpec, Recipe } from '#schema/spec.ts'
import type { Pair } from '../data/pair.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import { bindSymbols, type Placement } from '../onnx/engine.ts'
import type { Recompute } from '../tensor/gradient.ts'
import { prepare, stepGraph, streamTokens } from './step.ts'
import { memoryOf, type Memory } from '../planning/memory.ts'

/** What one run of the step takes on these pairs; only their lengths matter. */
export function planStep(
  checkpoint: Checkpoint,
  lora: LoraSpec,
  recompute: Recompute,
  pairs: readonly Pair[],
  { device, compute }: Placement,
): Memory {
  const graph = stepGraph(checkpoint, lora, 0, recompute, compute)
  const denominators = { nllTokens: 1, pairs: 1, accumulation: 1 }
  const { feeds } = prepare(
    checkpoint.config,
    pairs,
    pairs.map(() => denominators),
    'PROMPT_AND_CHOSEN',
    new Float32Array(checkpoint.config.hidden),
    lora.dropout > 0 ? { seed: 0, step: 0 } : null,
  )
  const given = graph.inputs.has('lossScale') ? { ...feeds, lossScale: scalar } : feeds
  return memoryOf(graph, bindSymbols(graph, given, { trainables: '' }), device)
}

const scalar = { data: new Float32Array(1), shape: [] }

/** Of what is planned, so much more is asked for: the planner knows neither fragmentation nor what kernels take for themselves. */
const margin = 1.1

/** The largest run that training can come to: as many pairs of the greatest length as the budget holds, at least one. */
function largestRun(
  { maxLength, maxPromptLength }: Pick<Recipe, 'maxLength' | 'maxPromptLength'>,
  tokenBudget: number,
): Pair[] {
  const tokens = (n: number) => new Array<number>(n).fill(0)
  const answer = tokens(maxLength - maxPromptLength)
  const cut = { prompt: 0, chosen: 0, rejected: 0 }
  const pair = { row: 0, prompt: tokens(maxPromptLength), chosen: answer, rejected: answer, cut }
  const pairs = Math.max(1, Math.floor(tokenBudget / streamTokens(pair)))
  return Array.from({ length: pairs }, () => pair)
}

/** The least recomputation with which the largest run fits into `memory` bytes; whole layers where none does. */
export function leastRecompute(
  checkpoint: Checkpoint,
  lora: LoraSpec,
  recipe: Pick<Recipe, 'maxLength' | 'maxPromptLength'>,
  { tokenBudget }: Pick<EngineSpec, 'tokenBudget'>,
  placement: Placement,
  memory: number,
): Recompute {
  const pairs = largestRun(recipe, tokenBudget)
  const fits = (recompute: Recompute) =>
    margin * planStep(checkpoint, lora, recompute, pairs, placement).total <= memory
  return (['NONE', 'ATTENTION'] as const).find(fits) ?? 'LAYER'
}
