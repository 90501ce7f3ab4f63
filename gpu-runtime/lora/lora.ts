/** LoRA (Hu et al. 2021): y = x Wᵀ + s (x Aᵀ) Bᵀ on the linears that a spec names, found by their paths. */
import type { LoraSpec } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import { add, cast, concat, keep, matmul, split, trainable } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { tokenMatrices } from '../models/addedTokens.ts'
import type { DecoderConfig } from '../models/config.ts'
import { frozen, type Parts } from '../models/decoder.ts'
import { modules, readingWith, width, type Module } from '../models/linears.ts'
import { stream as noise } from '../random.ts'
import { drop } from './dropout.ts'

/** One adapted linear. */
export type Site = { readonly path: string; readonly in: number; readonly out: number }

/**
 * The linears of a layer that a spec adapts, as the model has them. Where a model has several of the spec's linears fused in one, it
 * is adapted when all of them are named. Throws FormatError when only some of them are.
 */
export function targets(
  config: DecoderConfig,
  { targetModules }: Pick<LoraSpec, 'targetModules'>,
): Module[] {
  return modules(config).filter(({ name, parts }) => {
    const [named, others] = [true, false].map((wanted) =>
      parts.map((p) => p.linear).filter((l) => targetModules.includes(l) === wanted),
    )
    if (named!.length > 0 && others!.length > 0)
      throw new FormatError(
        `LoRA on ${named!.join(', ')}: this model has them in one linear with ${others!.join(', ')} (${name}); expected all of them or none`,
      )
    return named!.length > 0
  })
}

/** The adapted linears in the order in which their matrices lie in the flat vector: layer by layer, A before B. */
export function sites(config: DecoderConfig, spec: Pick<LoraSpec, 'targetModules'>): Site[] {
  const adapted = targets(config, spec)
  return Array.from({ length: config.layers }, (_, i) =>
    adapted.map((module) => ({
      path: `model.layers.${i}.${module.path}`,
      in: module.in,
      out: width(module),
    })),
  ).flat()
}

/** PEFT's key of a matrix in adapter_model.safetensors. */
export const key = (path: string, matrix: 'A' | 'B'): string =>
  `base_model.model.${path}.lora_${matrix}.weight`

/** s: alpha / r, or alpha / √r for rank-stabilized LoRA. */
const scaleOf = ({ alpha, r, rslora }: LoraSpec): number => alpha / (rslora ? Math.sqrt(r) : r)

/** What makes a model a tuned one: its parts for decoder(), and the matrices that are trained. */
export type Lora = {
  readonly parts: Parts
  /** In flat order: A [r, in], B [out, r] of each site; then the added tokens' rows [k, hidden] of embedding and untied head. */
  readonly trainables: readonly Tensor[]
}

/**
 * Adapts the linears that `spec` targets; all others, and every other parameter, stay those of the frozen checkpoint. Only training
 * asks for dropout: its graph has the inputs of `dropoutFeeds`. `base` are the parts that are adapted.
 */
export function lora(config: DecoderConfig, spec: LoraSpec, dropout = 0, base = frozen): Lora {
  const matrices = new Map(
    sites(config, spec).map((s) => [
      s.path,
      {
        a: trainable(key(s.path, 'A'), [spec.r, s.in]),
        b: trainable(key(s.path, 'B'), [s.out, spec.r]),
      },
    ]),
  )
  const scale = scaleOf(spec) / (1 - dropout)
  /** x Aᵀ by path, for each x. */
  const lows = new WeakMap<Tensor, Map<string, Tensor>>()
  // Linears of one input: their A's are applied as one matrix.
  const lowOf = (path: string, x: Tensor): Tensor => {
    const known = lows.get(x)?.get(path)
    if (known) return known
    const paths = readingWith(path).filter((p) => matrices.has(p))
    const a = concat(
      paths.map((p) => cast(matrices.get(p)!.a, 'compute')),
      0,
    )
    const low = split(
      matmul(x, a, { transB: true }),
      1,
      paths.map(() => spec.r),
    ).map(keep)
    lows.set(x, new Map(paths.map((p, i) => [p, low[i]!])))
    return lowOf(path, x)
  }
  const lowOfDropped = (path: string, x: Tensor): Tensor =>
    keep(matmul(drop(path, x, dropout), cast(matrices.get(path)!.a, 'compute'), { transB: true }))
  const { addedTokens, hidden } = config
  const rows =
    addedTokens === 0
      ? []
      : tokenMatrices(config).map((name) => trainable(`${name}.added`, [addedTokens, hidden]))
  return {
    parts: {
      ...base,
      ...(rows.length > 0 ? { added: { embedding: rows[0]!, head: rows.at(-1)! } } : {}),
      linear(path, x, out) {
        const plain = base.linear(path, x, out)
        const found = matrices.get(path)
        if (!found) return plain
        const low = dropout > 0 ? lowOfDropped(path, x) : lowOf(path, x) // [N, r]
        return add(plain, matmul(low, cast(found.b, 'compute'), { transB: true, scale }))
      },
    },
    trainables: [...[...matrices.values()].flatMap(({ a, b }) => [a, b]), ...rows],
  }
}

/** Elements of all matrices: the length of the flat vector. */
export const parameterCount = (trainables: readonly Tensor[]): number =>
  sizesOf(trainables).reduce((a, b) => a + b, 0)

/** Elements of each. */
export const sizesOf = (trainables: readonly Tensor[]): number[] =>
  trainables.map((t) => t.shape.reduce<number>((a, d) => a * (d as number), 1))

/**
 * PEFT's start of the matrices: A uniform in ±1/√in (Kaiming with a = √5), B zero, so that the adapter begins as the base. Added
 * rows, which follow the matrices, begin in addedRows.ts.
 */
export function initial(
  config: DecoderConfig,
  spec: LoraSpec,
  seed: number,
): Float32Array<ArrayBuffer> {
  const all = sites(config, spec)
  const flat = new Float32Array(all.reduce((n, s) => n + spec.r * (s.in + s.out), 0))
  let at = 0
  for (const site of all) {
    const random = noise(seed, `lora/${site.path}`)
    const bound = 1 / Math.sqrt(site.in)
    for (let i = 0; i < spec.r * site.in; i++) flat[at++] = (2 * random.uniform(i) - 1) * bound
    at += spec.r * site.out
  }
  return flat
}
