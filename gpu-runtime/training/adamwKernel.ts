/**
 * One optimizer step of AdamW, in the engine's thread. A loop and not a graph: of what each value needs, nothing is stored on the
 * way, where onnxruntime would hold a vector for every term.
 */
import type { AdamWSettings } from './adamw.ts'

export type StepVectors = {
  readonly w: Float32Array
  readonly g: Float32Array
  readonly m: Float32Array
  readonly v: Float32Array
}

export type StepArguments = {
  readonly settings: AdamWSettings
  /** 1, 2, ... */
  readonly step: number
  readonly rate: number
}

/** What is the same for all values of a step. */
export type Factors = {
  /** Of the gradient before clipping. */
  readonly norm: number
  readonly clip: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** What weight decay leaves of a value. */
  readonly kept: number
  readonly stepSize: number
  /** 1 / √(1 − β₂ᵗ). */
  readonly correction: number
}

export function factorsOf(g: Float32Array, { settings, step, rate }: StepArguments): Factors {
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = settings
  let squares = 0
  for (let i = 0; i < g.length; i++) squares += g[i]! * g[i]!
  const norm = Math.sqrt(squares)
  return {
    norm,
    clip: Math.min(1, maxGradNorm / (norm + 1e-6)),
    beta1,
    beta2,
    epsilon,
    kept: 1 - rate * weightDecay,
    stepSize: rate / (1 - beta1 ** step),
    correction: 1 / Math.sqrt(1 - beta2 ** step),
  }
}

/** Moves `n` values of w from index `from` on, and their moments, which lie at `at`. */
export function update(
  { w, g, m, v }: StepVectors,
  from: number,
  at: number,
  n: number,
  { clip, beta1, beta2, epsilon, kept, stepSize, correction }: Factors,
): void {
  for (let i = 0; i < n; i++) {
    const gradient = g[from + i]! * clip
    const nextM = m[at + i]! * beta1 + gradient * (1 - beta1)
    const nextV = v[at + i]! * beta2 + gradient * gradient * (1 - beta2)
    m[at + i] = nextM
    v[at + i] = nextV
    w[from + i] =
      w[from + i]! * kept - (stepSize * nextM) / (Math.sqrt(nextV) * correction + epsilon)
  }
}

/** Updates everything but g, in place; returns the norm of g before clipping. A norm that is not finite moves nothing. */
export default function step(vectors: StepVectors, at: StepArguments): number {
  const factors = factorsOf(vectors.g, at)
  if (Number.isFinite(factors.norm)) update(vectors, 0, 0, vectors.g.length, factors)
  return factors.norm
}
