/** config.json of a Llama, checked field by field, and the frequencies of its rotary embedding. */
import { families, isFamily } from '#schema/families.ts'
import { FormatError } from '../error.ts'

export type Rope = {
  readonly theta: number
  readonly scaling: null | {
    readonly type: 'llama3'
    readonly factor: number
    readonly lowFrequencyFactor: number
    readonly highFrequencyFactor: number
    readonly originalMaxPositions: number
  }
}

export type LlamaConfig = {
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly intermediate: number
  readonly vocabulary: number
  readonly normEpsilon: number
  readonly rope: Rope
  /** The vocabulary projection is the embedding. */
  readonly tiedHead: boolean
  readonly maxPositions: number
  readonly bosId: number | null
  readonly eosIds: readonly number[]
}

type Json = Readonly<Record<string, unknown>>

/**
 * Read a parsed config.json; `where` names it in errors. Defaults are those of transformers'
 * LlamaConfig, except that sizes must be given and that an absent BOS or EOS stays absent. Throws
 * FormatError naming the field.
 */
export function parseConfig(json: unknown, where: string): LlamaConfig {
  if (!isObject(json)) throw new FormatError(`${where}: expected a JSON object`)
  if (typeof json.model_type !== 'string' || !isFamily(json.model_type))
    throw new FormatError(
      `${where}: model_type is ${show(json.model_type)}, expected one of ${Object.keys(families).join(', ')}`,
    )
  const read = reader(json, where)
  refuse(json, where)

  const hidden = read.count('hidden_size')
  const heads = read.count('num_attention_heads')
  const kvHeads = read.count('num_key_value_heads', heads)
  if (heads % kvHeads !== 0)
    throw new FormatError(
      `${where}: num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`,
    )
  if (json.head_dim == null && hidden % heads !== 0)
    throw new FormatError(
      `${where}: hidden_size ${hidden} is not a multiple of num_attention_heads ${heads}, and head_dim is not given`,
    )
  const headDim = read.count('head_dim', hidden / heads)
  if (headDim % 2 !== 0)
    throw new FormatError(`${where}: head_dim is ${headDim}, expected an even number: rotary pairs`)
  const maxPositions = read.count('max_position_embeddings', 2048)

  return {
    layers: read.count('num_hidden_layers'),
    hidden,
    heads,
    kvHeads,
    headDim,
    intermediate: read.count('intermediate_size'),
    vocabulary: read.count('vocab_size'),
    normEpsilon: read.positive('rms_norm_eps', 1e-6),
    rope: parseRope(json, where, maxPositions),
    tiedHead: read.flag('tie_word_embeddings', false),
    maxPositions,
    bosId: read.ids('bos_token_id')[0] ?? null,
    eosIds: read.ids('eos_token_id'),
  }
}

/** Everything that the Llama of `models/` would silently compute otherwise. */
function refuse(json: Json, where: string) {
  for (const field of ['attention_bias', 'mlp_bias'])
    if (json[field] != null && json[field] !== false)
      throw new FormatError(
        `${where}: ${field} is ${show(json[field])}, expected false: biases are not supported`,
      )
  if (json.hidden_act != null && json.hidden_act !== 'silu')
    throw new FormatError(`${where}: hidden_act is ${show(json.hidden_act)}, expected "silu"`)
  if (json.quantization_config != null)
    throw new FormatError(
      `${where}: quantization_config is set; expected a model with float weights`,
    )
}

/** Two forms: `rope_parameters` (transformers 5), or `rope_theta` beside `rope_scaling`. */
function parseRope(json: Json, where: string, maxPositions: number): Rope {
  const form = json.rope_parameters != null ? 'rope_parameters' : 'rope_scaling'
  const given = json[form] ?? {}
  if (!isObject(given))
    throw new FormatError(`${where}: ${form} is ${show(given)}, expected an object`)
  const read = reader(given, `${where}: ${form}`)
  const theta =
    given.rope_theta != null
      ? read.positive('rope_theta')
      : reader(json, where).positive('rope_theta', 10_000)
  if (given.partial_rotary_factor != null && given.partial_rotary_factor !== 1)
    throw new FormatError(
      `${where}: ${form}.partial_rotary_factor is ${show(given.partial_rotary_factor)}, expected 1`,
    )

  const type = given.rope_type ?? given.type ?? 'default'
  if (type === 'default') return { theta, scaling: null }
  if (type !== 'llama3')
    throw new FormatError(
      `${where}: rope type is ${show(type)} (${form}), expected "default" or "llama3"`,
    )
  const lowFrequencyFactor = read.positive('low_freq_factor')
  const highFrequencyFactor = read.positive('high_freq_factor')
  if (highFrequencyFactor <= lowFrequencyFactor)
    throw new FormatError(
      `${where}: ${form}: high_freq_factor ${highFrequencyFactor} is not above low_freq_factor ${lowFrequencyFactor}`,
    )
  return {
    theta,
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
 * The rotary embedding's angle per position, [headDim / 2]: θ^(−2i/d). Llama 3 scaling divides by
 * `factor` where the wavelength exceeds original / low, leaves it below original / high, and blends
 * between (transformers' _compute_llama3_parameters).
 */
export function inverseFrequencies({
  headDim,
  rope: { theta, scaling },
}: Pick<LlamaConfig, 'headDim' | 'rope'>): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / headDim)
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

function reader(json: Json, where: string) {
  const get = <T>(
    field: string,
    expected: string,
    isRight: (value: unknown) => value is T,
    fallback?: T,
  ): T => {
    const value = json[field] ?? fallback
    if (value === undefined)
      throw new FormatError(`${where}: ${field} is missing, expected ${expected}`)
    if (!isRight(value))
      throw new FormatError(`${where}: ${field} is ${show(value)}, expected ${expected}`)
    return value
  }
  return {
    count: (field: string, fallback?: number) =>
      get(field, 'a positive integer', isCount, fallback),
    positive: (field: string, fallback?: number) =>
      get(field, 'a positive number', isPositive, fallback),
    flag: (field: string, fallback: boolean) => get(field, 'true or false', isFlag, fallback),
    ids: (field: string) => {
      const value = json[field] ?? []
      const ids: unknown[] = Array.isArray(value) ? value : [value]
      if (!ids.every(isId))
        throw new FormatError(
          `${where}: ${field} is ${show(value)}, expected a token id or a list of them`,
        )
      return ids
    },
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0
const isId = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0
const isPositive = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const show = (value: unknown) => JSON.stringify(value) ?? 'missing'
