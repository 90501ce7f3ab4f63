/** Where a runtime computes and in what: the first card that the driver names, if onnxruntime has a provider for it; else the CPU. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Engine as EngineSpec } from '#schema/spec.ts'
import { FormatError } from './error.ts'
import type { ComputeType } from './onnx/emit.ts'
import type { Placement } from './onnx/engine.ts'

export type Card = {
  readonly name: string
  /** Major and minor: 7.5 for a Tesla T4. */
  readonly capability: readonly [number, number]
  /** Bytes. */
  readonly memory: number
}

/** What `query` was answered, or why it was not. */
export type DriverAnswer =
  | { readonly output: string }
  | { readonly problem: string; readonly missing?: true }

const query = ['--query-gpu=name,compute_cap,memory.total', '--format=csv,noheader']

/** Ask the driver's own tool; a machine without one is an answer too. */
export async function askDriver(tool = 'nvidia-smi'): Promise<DriverAnswer> {
  try {
    const { stdout } = await promisify(execFile)(tool, query, { timeout: 20_000 })
    return { output: stdout }
  } catch (error) {
    const { code, stdout, message } = error as Error & { code?: unknown; stdout?: string }
    if (code === 'ENOENT')
      return { problem: `no ${tool}: no NVIDIA driver is installed`, missing: true }
    // It says what is wrong on stdout.
    return { problem: stdout?.trim() || message }
  }
}

/** Cards in the driver's order. Throws Error for a line that cannot be read: a card of unified memory says "[N/A]" for its own. */
export function parseCards(output: string): Card[] {
  return output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const found = /^(.+), (\d+)\.(\d+), (\d+) MiB$/.exec(line)
      if (!found)
        throw new Error(
          `nvidia-smi: expected "name, compute capability, memory in MiB", got "${line}"`,
        )
      const [, name, major, minor, mebibytes] = found
      return {
        name: name!,
        capability: [Number(major), Number(minor)],
        memory: Number(mebibytes) * 2 ** 20,
      }
    })
}

/** Where onnxruntime looks for its CUDA provider. */
export function providerPath(): string {
  const main = createRequire(import.meta.url).resolve('onnxruntime-node')
  const binaries = join(dirname(main), '../bin/napi-v6', process.platform, process.arch)
  return join(binaries, 'libonnxruntime_providers_cuda.so')
}

/** The card to compute on; without one, why a machine that has a driver computes on its CPU, or null where it has none. */
export type Found =
  | { readonly card: Card }
  | { readonly card: null; readonly problem: string | null }

/** `answer` is the driver's, and `provider` says whether onnxruntime's library for cards is in place. */
export function cardOf(answer: DriverAnswer, provider: boolean): Found {
  if ('missing' in answer) return { card: null, problem: null }
  if ('problem' in answer) return { card: null, problem: answer.problem }
  try {
    const [card] = parseCards(answer.output)
    if (!card) return { card: null, problem: 'nvidia-smi names no card' }
    if (!provider)
      return {
        card: null,
        problem: `${card.name} lies idle: onnxruntime's CUDA provider is not installed; npm run doctor says how`,
      }
    return { card }
  } catch (error) {
    return { card: null, problem: (error as Error).message }
  }
}

export const findCard = async (): Promise<Found> =>
  cardOf(await askDriver(), existsSync(providerPath()))

/** Matrix units know bfloat16 from compute capability 8.0 on; before, float16, whose gradients need a scaled loss. */
export const computeOf = ({ capability: [major] }: Card): ComputeType =>
  major >= 8 ? 'bfloat16' : 'float16'

/** What is left for graphs: the driver's context, loaded kernels and cuBLAS' workspaces take 0.5 to 1 GB. */
export const usableMemory = ({ memory }: Card): number => memory - 2 ** 30

const computeTypes = { FLOAT32: 'float32', BFLOAT16: 'bfloat16', FLOAT16: 'float16' } as const

/** Throws FormatError for a type that the CPU has no arithmetic for. */
export function placementOf(card: Card | null, compute: EngineSpec['compute']): Placement {
  if (card)
    return { device: 'cuda', compute: compute === 'AUTO' ? computeOf(card) : computeTypes[compute] }
  if (compute !== 'AUTO' && compute !== 'FLOAT32')
    throw new FormatError(
      `engine.compute is ${compute}: expected AUTO or FLOAT32 on a machine without a CUDA card and onnxruntime's provider for it`,
    )
  return { device: 'cpu', compute: 'float32' }
}
