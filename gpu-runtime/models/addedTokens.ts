/**
 * Tokens beyond a checkpoint's vocabulary V. Their rows of the embedding and of the head are trained and come with the adapter;
 * the checkpoint's matrices, of which only the first V rows are read, stay where they lie. Feeds name an added token by a column:
 *
 *   V 5, added 2     ids 3 5 6 1   →   ids 3 0 0 1     columns [ 0 0 | 1 0 | 0 1 | 0 0 ]
 *
 *   x = E[ids] · (1 − Σ columns) + columns · E⁺        log Σ exp z = logaddexp(log Σ exp hEᵀ, h·E⁺₁, h·E⁺₂)
 */
import type { Dim } from '../tensor/dim.ts'
import {
  add,
  cast,
  constant,
  input,
  lessOrEqual,
  matmul,
  mul,
  reshape,
  softplus,
  split,
  sub,
  sum,
  where,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { floats, integers, type Feeds } from '../tensor/feed.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { DecoderConfig } from './config.ts'

type Sizes = Pick<DecoderConfig, 'vocabulary' | 'addedTokens'>

/**
 * The checkpoint with the first `vocabulary` of its rows, and `addedTokens` more to come, whose ids begin at `vocabulary`.
 * Rows behind `vocabulary` that no token of the tokenizer has are left out, as resize_token_embeddings(len(tokenizer)) does.
 */
export function withAddedTokens(
  checkpoint: Checkpoint,
  { vocabulary, addedTokens }: Sizes,
): Checkpoint {
  return {
    ...checkpoint,
    config: { ...checkpoint.config, vocabulary, addedTokens },
    weight(name) {
      const stored = checkpoint.weight(name)
      if ((name !== embedding && name !== head) || stored.dtype === 'nf4') return stored
      const [rows, ...rest] = stored.shape
      if (vocabulary >= rows!) return stored
      return {
        ...stored,
        bytes: (stored.bytes / rows!) * vocabulary,
        shape: [vocabulary, ...rest],
      }
    },
  }
}

const embedding = 'model.embed_tokens.weight'
const head = 'lm_head.weight'

/** The matrices of a checkpoint that have a row for each token: with a tied head, one. */
export const tokenMatrices = ({ tiedHead }: Pick<DecoderConfig, 'tiedHead'>): readonly string[] =>
  tiedHead ? [embedding] : [embedding, head]

/** Feeds `name` with ids, and `columns(name)` with what they say of added tokens, where there are any. */
export function tokenFeeds(
  { vocabulary, addedTokens }: Sizes,
  name: string,
  ids: ArrayLike<number>,
): Feeds {
  if (addedTokens === 0) return { [name]: integers(ids) }
  const columns = new Float32Array(ids.length * addedTokens)
  const known = Float64Array.from(ids, (id, i) => {
    if (id < vocabulary) return id
    columns[i * addedTokens + id - vocabulary] = 1
    return 0
  })
  return {
    [name]: integers(known),
    [`${name}Added`]: floats(columns, [ids.length, addedTokens]),
  }
}

/** Ids in a graph [n], those of added tokens replaced by 0, and what says of each which added token it is: [n, k]. */
export type Tokens = { readonly ids: Tensor; readonly added: Tensor | null }

/** The inputs that `tokenFeeds` feeds as `name`. */
export const fedTokens = (
  { addedTokens }: Pick<Sizes, 'addedTokens'>,
  name: string,
  count: Dim,
): Tokens => ({
  ids: input(name, [count], 'int64'),
  added: addedTokens === 0 ? null : input(`${name}Added`, [count, addedTokens]),
})

/** The same of ids that the graph has made itself: int64 [n]. */
export function madeTokens({ vocabulary, addedTokens }: Sizes, made: Tensor): Tokens {
  if (addedTokens === 0) return { ids: made, added: null }
  const column = reshape(made, [made.shape[0]!, 1])
  const own = constant(
    Array.from({ length: addedTokens }, (_, i) => vocabulary + i),
    [1, addedTokens],
    'int64',
  )
  return {
    ids: where(lessOrEqual(made, vocabulary - 1), made, 0),
    added: where(lessOrEqual(column, own), where(lessOrEqual(own, column), 1, 0), 0),
  }
}

/** Values [n, D] of known tokens, with those of added ones [k, D] where columns [n, k] (see `Tokens`) say so. */
export function replaced(known: Tensor, columns: Tensor | null, rows: Tensor | null): Tensor {
  if (columns === null || rows === null) return known
  const to = known.dtype as 'float32' | 'compute'
  const kept = cast(sub(1, sum(columns, [1])), to)
  return add(mul(known, kept), matmul(cast(columns, to), cast(rows, to)))
}

/** Logits [n, 1] of the tokens named by `name`, of which the known ones are given; `own` are those of all added tokens [n, k]. */
export function chosenLogits(known: Tensor, name: string, own: Tensor | null): Tensor {
  if (own === null) return known
  const columns = input(`${name}Added`, own.shape)
  return add(mul(known, sub(1, sum(columns, [1]))), sum(mul(own, columns), [1]))
}

/** log(eᵃ + Σⱼ e^ownⱼ), [n, 1] of a [n, 1] and own [n, k]: one column after the other, so that nothing overflows. */
export function logAddExp(a: Tensor, own: Tensor | null): Tensor {
  if (own === null) return a
  const k = own.shape[1] as number
  const columns =
    k === 1
      ? [own]
      : split(
          own,
          1,
          Array.from({ length: k }, () => 1),
        )
  return columns.reduce((lse, column) => add(lse, softplus(sub(column, lse))), a)
}
