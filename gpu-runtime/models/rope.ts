/** The settings of a rotary embedding (Su et al. 2021) as config.json states them, and its frequencies. */
import { FormatError } from '../error.ts'
import { fields, show, type Json } from './fields.ts'

export type Rope = {
  /** How many numbers of a head are turned, from its first on: all of them in most families. */
  readonly width: number
  readonly theta: number
  readonly scaling: null | {
    readonly type: 'llama3'
    readonly factor: number
    readonly lowFrequencyFactor: number
    readonly highFrequencyFactor: number
    readonly originalMaxPositions: number
  }
}

type Defaults = {
  readonly headDim: number
  readonly theta: number
  readonly maxPositions: number
}

/** One rotary embedding, of all of each head. */
export const oneRope = (json: Json, where: string, defaults: Defaults): Rope[] => {
  return [whole(parseRope(json, where, { ...defaults, share: 1 }), defaults.headDim, where)]
}

function whole(rope: Rope, headDim: number, where: string): Rope {
  if (rope.width !== headDim)
    throw new FormatError(
      `${where}: partial_rotary_factor makes ${rope.width} of ${headDim}, expected all: 1`,
    )
  return rope
}

/** One, of the part of each head that `partial_rotary_factor` says. */
export const partialRope = (json: Json, where: string, defaults: Defaults): Rope[] => [
  parseRope(json, where, {
    ...defaults,
    share: fields(json, where).positive('partial_rotary_factor', 1),
  }),
]

/**
 * Gemma 3's two: of layers that see everything, and of those with a window. Two forms: an object for each in `rope_parameters`
 * (transformers 5), or `rope_theta` with `rope_scaling`, and `rope_local_base_freq`.
 */
export const globalAndLocalRope = (json: Json, where: string, defaults: Defaults): Rope[] => {
  expectOneForm(json, where)
  const read = fields(json, where)
  const forms =
    json.rope_parameters == null
      ? { full_attention: read.object('rope_scaling'), sliding_attention: {} }
      : read.object('rope_parameters')
  const inner = fields(forms, `${where}: rope_parameters`)
  return [
    { kind: 'full_attention', theta: read.positive('rope_theta', 1e6) },
    { kind: 'sliding_attention', theta: read.positive('rope_local_base_freq', 1e4) },
  ].map(({ kind, theta }) =>
    whole(
      ropeOf(inner.object(kind), `${where}: ${kind}`, { ...defaults, theta, share: 1 }),
      defaults.headDim,
      where,
    ),
  )
}

/** transformers lets rope_scaling win over rope_parameters without a word. */
function expectOneForm(json: Json, where: string): void {
  if (json.rope_parameters != null && json.rope_scaling != null)
    throw new FormatError(
      `${where}: has rope_parameters and rope_scaling ${show(json.rope_scaling)}, expected one of them`,
    )
}

/** Two forms: `rope_parameters` (transformers 5), or `rope_theta` beside `rope_scaling`. */
function parseRope(json: Json, where: string, defaults: Defaults & { share: number }): Rope {
  expectOneForm(json, where)
  const form = json.rope_parameters != null ? 'rope_parameters' : 'rope_scaling'
  const read = fields(json, where)
  const given = read.object(form)
  for (const kind of ['full_attention', 'sliding_attention'])
    if (given[kind] != null)
      throw new FormatError(
        `${where}: ${form} has ${kind}, expected the same settings for all layers`,
      )
  return ropeOf(given, `${where}: ${form}`, {
    ...defaults,
    theta: read.positive('rope_theta', defaults.theta),
  })
}

function ropeOf(
  given: Json,
  where: string,
  { headDim, theta, maxPositions, share }: Defaults & { share: number },
): Rope {
  const read = fields(given, where)
  const width = Math.trunc(headDim * read.positive('partial_rotary_factor', share))
  if (width % 2 !== 0 || width > headDim)
    throw new FormatError(
      `${where}: partial_rotary_factor makes ${width} of ${headDim}, expected an even number: rotary pairs`,
    )
  const plain = { width, theta: read.positive('rope_theta', theta), scaling: null }

  const type = given.rope_type ?? given.type ?? 'default'
  if (type === 'default') return plain
  if (type !== 'llama3')
    throw new FormatError(`${where}: rope type is ${show(type)}, expected "default" or "llama3"`)
  const lowFrequencyFactor = read.positive('low_freq_factor')
  const highFrequencyFactor = read.positive('high_freq_factor')
  if (highFrequencyFactor <= lowFrequencyFactor)
    throw new FormatError(
      `${where}: high_freq_factor ${highFrequencyFactor} is not above low_freq_factor ${lowFrequencyFactor}`,
    )
  return {
    ...plain,
    scaling: {
      type,
      factor: read.positive('factor'),
      lowFrequencyFactor,
      highFrequencyFactor,
      originalMaxPositions: read.count('original_max_position_embeddings', maxPositions),
    },
  }
}

/**
 * The angle per position, [width / 2]: θ^(−2i/width). Llama 3 scaling divides by `factor` where the wavelength exceeds
 * original / low, leaves it below original / high, and blends between (transformers' _compute_llama3_parameters).
 */
export function inverseFrequencies({ width, theta, scaling }: Rope): Float64Array {
  return Float64Array.from({ length: width / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / width)
    if (scaling === null) return frequency
    const {
      factor,
      lowFrequencyFactor: low,
      highFrequencyFactor: high,
      originalMaxPositions,
    } = scaling
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI) // original context / wavelength
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return (kept + (1 - kept) / factor) * frequency
  })
}

/** Cosines and sines of the angles at each position, row by row: [positions, width / 2]. */
export function ropeTables(
  rope: Rope,
  positions: readonly number[],
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const frequencies = inverseFrequencies(rope)
  const half = frequencies.length
  const cos = new Float32Array(positions.length * half)
  const sin = new Float32Array(positions.length * half)
  positions.forEach((p, n) => {
    for (let i = 0; i < half; i++) {
      // transformers multiplies in float32.
      const angle = Math.fround(Math.fround(frequencies[i]!) * p)
      cos[n * half + i] = Math.cos(angle)
      sin[n * half + i] = Math.sin(angle)
    }
  })
  return { cos, sin }
}
