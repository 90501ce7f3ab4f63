/** test/golden/smollm2.*: numbers of TRL and lm-evaluation-harness on SmolLM2-135M-Instruct, made by test/golden/real.py. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { readHeader, readTensor } from '#gpu-runtime/files/safetensors.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { readJson } from '../gpu-runtime/golden.ts'
import { smollm2 } from '../gpu-runtime/shared.ts'

type Values = Record<string, number>

/** [document][choice], in nats. */
type LogLikelihoods = Record<'arc_easy' | 'openbookqa', number[][]>

export type RealGolden = {
  weights_sha256: string
  pairs: Pair[]
  orpo: {
    beta: number
    metrics: Values & { loss: number; nll_loss: number }
    per_pair: Record<'chosen_logps' | 'rejected_logps' | 'log_odds' | 'log_odds_ratio', number[]>
  }
  /** By PEFT key: L2 norm, and dot product with the probe. */
  gradients: Record<string, [norm: number, probed: number]>
  training: { settings: Values; steps: (Values & { step: number })[] }
  log_likelihoods: { base: LogLikelihoods; adapter: LogLikelihoods }
}

export const golden = readJson<RealGolden>('smollm2')

/** The gradients that are kept in full, by PEFT key. */
export async function wholeGradients(): Promise<Map<string, Float32Array>> {
  const { tensors } = await readHeader(join(import.meta.dirname, '../golden/smollm2.safetensors'))
  return new Map(
    await Promise.all(
      [...tensors.values()].map(async (t) => [t.name, await readTensor(t)] as const),
    ),
  )
}

/** The directory of the model that the numbers were made with, or why it cannot be had. */
export async function realModel(): Promise<
  { directory: string; skip: false } | { directory: ''; skip: string }
> {
  const model = await smollm2()
  if (model.directory === null) return { directory: '', skip: model.reason }
  const hash = createHash('sha256')
  const file = join(model.directory, 'model.safetensors')
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  const got = hash.digest('hex')
  return got === golden.weights_sha256
    ? { directory: model.directory, skip: false }
    : {
        directory: '',
        skip: `${file} has sha256 ${got}, the golden numbers are of ${golden.weights_sha256}`,
      }
}
