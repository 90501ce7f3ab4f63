/** Reference numbers of SciPy, statsmodels and lm-evaluation-harness: golden.py wrote golden.json, with their versions. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

type Pair = [number, number]

export const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as {
  z: number
  mean: { values: number[]; mean: number; standardError: number }[]
  wilson: { right: number; n: number; interval: Pair }[]
  mcnemar: { gained: number; lost: number; pValue: number }[]
  tango: { gained: number; lost: number; n: number; interval: Pair }[]
  claims: {
    gained: number
    lost: number
    n: number
    bound: number
    pValue: number
    interval90: Pair
  }[]
  normal: { x: number; p: number }[]
  pythonRandom: { seed: number; draws: number[] }[]
  perplexity: {
    logLikelihoods: number[]
    weights: number[]
    perplexity: number
    weighted: number
    bitsPerByte: number
    bootstrap: { resamples: number; standardError: number }[]
    median: { resamples: number; standardError: number }
  }
  group: {
    members: [n: number, mean: number, standardError: number | null][]
    bySize: boolean
    n: number
    mean: number
    standardError: number | null
  }[]
  holm: { pValues: number[]; adjusted: number[] }[]
  bca: {
    values: number[][]
    shares: number[]
    level: number
    interval: Pair
    standardError: number
  }[]
  ratio: {
    baseline: number[]
    candidate: number[]
    tokens: number[]
    difference: number
    standardError: number
    interval: Pair
  }
  permutation: { differences: number[]; pValue: number }[]
  permutationDrawn: { differences: number[]; pValue: number }
  power: { n: number; alpha: number; power: number; sides: 1 | 2; effect: number }[]
  connor: {
    n: number
    discordant: number
    alpha: number
    power: number
    sides: 1 | 2
    detectable: number
  }[]
}

export const near = (got: number, expected: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(got - expected) <= tolerance, `${what}: expected ${expected}, got ${got}`)
