/** What benchmarks measure: how the scores of samples become a task's value. */

/** How the quotient Σ score / Σ weight over samples becomes the value. */
export const aggregates = {
  MEAN: (quotient: number) => quotient,
  /** Of log-likelihoods. */
  PERPLEXITY: (quotient: number) => Math.exp(-quotient),
  BITS: (quotient: number) => -quotient / Math.LN2,
} as const

export type MetricEntry = {
  readonly aggregate: keyof typeof aggregates
  /** Whether a document's score is 0 or 1. */
  readonly binary: boolean
  /** Which way is better. */
  readonly goal: 'MAX' | 'MIN'
  /** How lm-evaluation-harness comes to a standard error: that of a mean, by the bootstrap, or not at all. */
  readonly standardError: 'MEAN' | 'BOOTSTRAP' | 'NONE'
  /** What lm-evaluation-harness calls it in its results: name, then filter. */
  readonly harness: readonly [name: string, filter: string]
}

const accuracy = (
  name: string,
  filter = 'none',
  standardError: MetricEntry['standardError'] = 'MEAN',
): MetricEntry => ({
  aggregate: 'MEAN',
  binary: true,
  goal: 'MAX',
  standardError,
  harness: [name, filter],
})
const perplexity = (
  name: string,
  aggregate: MetricEntry['aggregate'] = 'PERPLEXITY',
  standardError: MetricEntry['standardError'] = 'NONE',
): MetricEntry => ({
  aggregate,
  binary: false,
  goal: 'MIN',
  standardError,
  harness: [name, 'none'],
})

export const metrics = {
  acc: accuracy('acc'),
  /** Log-likelihood divided by the choice's length in code points. */
  acc_norm: accuracy('acc_norm'),
  /** Log-likelihood divided by the number of tokens. */
  acc_per_token: accuracy('acc_per_token'),
  mc1: accuracy('mc1'),
  /** Probability of the true answers among all. */
  mc2: { ...accuracy('mc2'), binary: false },
  /** Of the answer picked; several may be right in part. */
  multiple_choice_grade: { ...accuracy('multiple_choice_grade'), binary: false },
  exact_match: accuracy('exact_match'),
  exact_match_strict: accuracy('exact_match', 'strict-match'),
  exact_match_flexible: accuracy('exact_match', 'flexible-extract'),
  prompt_level_strict_acc: accuracy('prompt_level_strict_acc'),
  prompt_level_loose_acc: accuracy('prompt_level_loose_acc'),
  /** Weight: how many instructions a prompt has. */
  inst_level_strict_acc: { ...accuracy('inst_level_strict_acc', 'none', 'NONE'), binary: false },
  inst_level_loose_acc: { ...accuracy('inst_level_loose_acc', 'none', 'NONE'), binary: false },
  perplexity: perplexity('perplexity', 'PERPLEXITY', 'BOOTSTRAP'),
  /** Weights: words, and bytes, of the original text. */
  word_perplexity: perplexity('word_perplexity'),
  byte_perplexity: perplexity('byte_perplexity'),
  bits_per_byte: perplexity('bits_per_byte', 'BITS'),
} as const satisfies Record<string, MetricEntry>

export type Metric = keyof typeof metrics
