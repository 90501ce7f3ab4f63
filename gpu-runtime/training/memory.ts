/** The memory of a training step before it is run. */
import type { LoraSpec } from '#schema/spec.ts'
import type { Pair } from '../data/pair.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import { bindSymbols, type Placement } from '../onnx/engine.ts'
import type { Recompute } from '../tensor/gradient.ts'
import { prepare, stepGraph } from './step.ts'
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
