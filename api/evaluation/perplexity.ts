/** Scores of text by its log-likelihood, in nats, as lm-evaluation-harness aggregates them over documents. */

/** exp(-mean log-likelihood per document): the harness' `perplexity`, of one scored word or text a document. */
export function perplexity(logLikelihoods: readonly number[]): number {
  let sum = 0
  for (const value of logLikelihoods) sum += value
  return Math.exp(-sum / logLikelihoods.length)
}

/** A document's whole log-likelihood and its size in the unit that it is spread over: words, bytes or tokens. */
export type Weighed = { readonly logLikelihood: number; readonly weight: number }

/** exp(-sum of log-likelihoods / sum of sizes): the harness' `word_perplexity` and `byte_perplexity`. */
export const weightedPerplexity = (documents: readonly Weighed[]): number =>
  Math.exp(-perUnit(documents))

/** -sum of log-likelihoods / sum of bytes / ln 2: the harness' `bits_per_byte`. */
export const bitsPerByte = (documents: readonly Weighed[]): number => -perUnit(documents) / Math.LN2

/** Log-likelihood per word, byte or token: longer documents count for more. NaN for no documents. */
export function perUnit(documents: readonly Weighed[]): number {
  let [sum, size] = [0, 0]
  for (const { logLikelihood, weight } of documents) {
    sum += logLikelihood
    size += weight
  }
  return sum / size
}
