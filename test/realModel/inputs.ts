/** What PyTorch and our engine both compute with on SmolLM2: real rows, a seeded adapter, a seeded direction. */
import { openRows } from '#gpu-runtime/data/rows.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { initial, sites } from '#gpu-runtime/lora/lora.ts'
import type { DecoderConfig } from '#gpu-runtime/models/config.ts'
import { stream } from '#gpu-runtime/random.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { Pairs } from '#gpu-runtime/training/pairs.ts'
import { LoraSpec } from '#schema/spec.ts'
import { shared } from '../gpu-runtime/shared.ts'

const seed = 505

/** Rows 5 and 10: one that loses tokens of its prompt and of an answer, and one that fits. */
const rows = [5, 10]
const recipe = { dialect: 'ODDSMITH', maxLength: 256, maxPromptLength: 128 } as const

export const loraSpec = LoraSpec.parse({ r: 16, alpha: 32 })

export const evaluations = [
  { task: 'arc_easy', rows: shared('data/nous-normalised/arc_easy.test.jsonl'), limit: 5 },
  { task: 'openbookqa', rows: shared('data/nous-normalised/openbookqa.test.jsonl'), limit: 5 },
] as const

/** The pairs, tokenized as training does it. */
export async function realPairs(model: string): Promise<Pair[]> {
  const file = await openRows(shared('data/preference-chatml/dpo_en_demo.chatml.jsonl'))
  try {
    const pairs = new Pairs(file, await openText(model), recipe)
    return await Promise.all(rows.map((row) => pairs.get(row)))
  } finally {
    await file.close()
  }
}

/** PEFT's A, and B ~ N(0, 0.02): no gradient is zero, and the model still speaks. Flat, as lora.ts orders it. */
export function seededAdapter(config: DecoderConfig): Float32Array<ArrayBuffer> {
  const flat = initial(config, loraSpec, seed)
  let at = 0
  for (const { path, ...site } of sites(config, loraSpec)) {
    at += loraSpec.r * site.in
    const random = stream(seed, `B of ${path}`)
    for (let i = 0; i < loraSpec.r * site.out; i++) flat[at++] = 0.02 * random.normal(i)
  }
  return flat
}

/** Standard normal, flat as the adapter: a gradient's dot product with it notices a change of any element. */
export function probe(size: number): Float32Array<ArrayBuffer> {
  const random = stream(seed, 'probe')
  return Float32Array.from({ length: size }, (_, i) => random.normal(i))
}
