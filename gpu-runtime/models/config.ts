/** config.json of a model, checked field by field, as the one configuration that the decoder is built from. */
import { families, isFamily } from '#schema/families.ts'
import { FormatError } from '../error.ts'
import { absent, activations, plain, rows, type Activation, type Differences } from './families.ts'
import { fields, isObject, show } from './fields.ts'
import { oneRope, type Rope } from './rope.ts'

export type DecoderConfig = Differences & {
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly intermediate: number
  /** Of the MLP's gate. */
  readonly activation: Activation
  /** Rows of the checkpoint's embedding. */
  readonly vocabulary: number
  /** Tokens beyond them, whose rows an adapter brings (addedTokens.ts); 0 for a checkpoint as it is. */
  readonly addedTokens: number
  readonly normEpsilon: number
  /** Rotary embeddings; each layer says which is its own (`turns`). */
  readonly ropes: readonly Rope[]
  /** The vocabulary projection is the embedding. */
  readonly tiedHead: boolean
  readonly maxPositions: number
  readonly bosId: number | null
  readonly eosIds: readonly number[]
}

/**
 * Read a parsed config.json; `where` names it in errors. Defaults are those of the family's class in transformers, except that
 * sizes must be given and that an absent BOS or EOS stays absent. Throws FormatError naming the field.
 */
export function parseConfig(json: unknown, where: string): DecoderConfig {
  if (!isObject(json)) throw new FormatError(`${where}: expected a JSON object`)
  if (typeof json.model_type !== 'string' || !isFamily(json.model_type))
    throw new FormatError(
      `${where}: model_type is ${show(json.model_type)}, expected one of ${Object.keys(families).join(', ')}`,
    )
  if (json.quantization_config != null)
    throw new FormatError(
      `${where}: quantization_config is set; expected a model with float weights`,
    )
  const row = rows[json.model_type]
  const otherwise = { ...absent, ...row.absent }
  const read = fields(json, where)

  const hidden = read.count('hidden_size')
  const heads = read.count('num_attention_heads')
  const kvHeads = read.countOrNull('num_key_value_heads', otherwise.kvHeads) ?? heads
  if (heads % kvHeads !== 0)
    throw new FormatError(
      `${where}: num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`,
    )
  if (json.head_dim == null && otherwise.headDim === null && hidden % heads !== 0)
    throw new FormatError(
      `${where}: hidden_size ${hidden} is not a multiple of num_attention_heads ${heads}, and head_dim is not given`,
    )
  const headDim = read.count('head_dim', otherwise.headDim ?? hidden / heads)
  if (headDim % 2 !== 0)
    throw new FormatError(`${where}: head_dim is ${headDim}, expected an even number: rotary pairs`)
  const layers = read.count('num_hidden_layers')
  const size = { layers, hidden, headDim }
  const maxPositions = read.count('max_position_embeddings', otherwise.maxPositions)

  return {
    ...plain(size),
    ...row.read(read, size),
    layers,
    hidden,
    heads,
    kvHeads,
    headDim,
    intermediate: read.count('intermediate_size'),
    activation: read.oneOf(row.activation ?? 'hidden_act', activations, otherwise.activation),
    vocabulary: read.count('vocab_size'),
    addedTokens: 0,
    normEpsilon: read.positive('rms_norm_eps', otherwise.normEpsilon),
    ropes: (row.ropes ?? oneRope)(json, where, { headDim, theta: otherwise.theta, maxPositions }),
    tiedHead: read.flag('tie_word_embeddings', otherwise.tiedHead),
    maxPositions,
    bosId: read.ids('bos_token_id')[0] ?? null,
    eosIds: read.ids('eos_token_id'),
  }
}
