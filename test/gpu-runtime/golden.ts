/** The golden files of test/golden, read for tests. Their README says where each number comes from. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readHeader, readTensor } from '#gpu-runtime/files/safetensors.ts'
import { key, sites } from '#gpu-runtime/lora/lora.ts'
import type { Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { Forward } from '#gpu-runtime/models/decoder.ts'
import { matmul, softCap } from '#gpu-runtime/tensor/ops.ts'
import type { Tensor } from '#gpu-runtime/tensor/tensor.ts'
import { families, type Family } from '#schema/families.ts'
import type { Linear, LoraSpec } from '#schema/spec.ts'

const golden = resolve(import.meta.dirname, '../golden')
export const shared = resolve(
  import.meta.dirname,
  '../..',
  process.env.ODDSMITH_SHARED ?? '../shared',
)

export const goldenFile = (name: string): string => join(golden, name)

export type CaseName = 'tiny' | 'tiny-llama3' | 'stories260K' | `families/${Family}`
export const cases = ['tiny', 'tiny-llama3', 'stories260K'] as const
/** Of `training`, `choices` and the losses of `orpo` they have `metrics` only. */
export const familyCases = (Object.keys(families) as Family[]).map(
  (family) => `families/${family}` as const,
)

export const modelOf = (name: CaseName): string =>
  name === 'stories260K' ? join(shared, 'data/stories260K/hf-derived') : join(golden, name)

/** A reason to skip, or false. */
export const absent = (name: CaseName): string | false =>
  existsSync(join(modelOf(name), 'config.json'))
    ? false
    : `no ${modelOf(name)}: set ODDSMITH_SHARED`

/** All logits of a forward pass, [N, V]: what the product never makes. */
export const logitsOf = ({ hidden, head, logitCap }: Forward): Tensor =>
  softCap(matmul(hidden, head, { transB: true }), logitCap)

type Pair = { prompt: number[]; chosen: number[]; rejected: number[] }
type Values = Record<string, number>

/** One micro-batch in plain PyTorch: losses, mean log-probabilities by pair, the norm of all gradients. */
export type Brief = {
  loss: number
  nll_loss: number
  chosen_logps: number[]
  rejected_logps: number[]
  grad_norm: number
}

export type Golden = {
  lora: { r: number; lora_alpha: number; target_modules: string[] }
  ids: number[]
  pairs: Pair[]
  orpo: {
    pairs: number[]
    beta: number
    metrics: Values
    answer_nll?: { loss: number; nll_loss: number }
    sequence_nll?: Brief
    with_lead?: Brief & { leads: { chosen: number; rejected: number }[] }
    per_pair: {
      chosen_logps: number[]
      rejected_logps: number[]
      log_odds: number[]
      log_odds_ratio: number[]
      /** Of prompt and answer, all tokens but the first. */
      chosen_token_logps: number[][]
      rejected_token_logps: number[][]
    }
    logits_means: { predicting: { chosen: number; rejected: number } }
  }
  training: { settings: Values; steps: (Values & { step: number })[]; clipped_steps: number[] }
  choices: {
    context: number[]
    continuations: { ids: number[]; sum: number; tokens: number[] }[]
  }[]
}

export const readJson = <T = Golden>(name: string): T =>
  JSON.parse(readFileSync(join(golden, `${name}.json`), 'utf8')) as T

/** All tensors of a case by name, or those under a prefix with the prefix taken off. */
export async function readTensors(
  name: CaseName,
  prefix = '',
): Promise<Map<string, { data: Float32Array; shape: readonly number[] }>> {
  const { tensors } = await readHeader(join(golden, `${name}.safetensors`))
  const found = [...tensors.values()].filter((t) => t.name.startsWith(prefix))
  return new Map(
    await Promise.all(
      found.map(
        async (t) =>
          [t.name.slice(prefix.length), { data: await readTensor(t), shape: t.shape }] as const,
      ),
    ),
  )
}

/** What Phi-3's own linears are to a spec. */
const phi3: Record<string, Linear[]> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
}

export const loraOf = ({ lora }: Golden): LoraSpec => ({
  r: lora.r,
  alpha: lora.lora_alpha,
  rslora: false,
  dropout: 0,
  targetModules: lora.target_modules.flatMap((name) => phi3[name] ?? (name as Linear)),
})

/** The random adapter of a case as the engine holds it. */
export function flatAdapter(
  { config }: Checkpoint,
  golden: Golden,
  tensors: ReadonlyMap<string, { data: Float32Array }>,
): Float32Array<ArrayBuffer> {
  const parts = sites(config, loraOf(golden)).flatMap(({ path }) => [
    tensors.get(key(path, 'A'))!.data,
    tensors.get(key(path, 'B'))!.data,
  ])
  const flat = new Float32Array(parts.reduce((n, p) => n + p.length, 0))
  parts.reduce((at, part) => (flat.set(part, at), at + part.length), 0)
  return flat
}
