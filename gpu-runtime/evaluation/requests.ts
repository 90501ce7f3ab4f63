/**
 * Documents as the requests that lm-evaluation-harness sends: their hashes, and their tokens as
 * contexts with branches.
 */
import { createHash } from 'node:crypto'
import type { EvaluationSettings } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import type { ScoreRequest } from '../inference/score.ts'
import type { Text } from '../text/text.ts'
import { stripEnd } from './python.ts'

/** The log-likelihood of the continuation after the context. */
export type Pair = readonly [context: string, continuation: string]

/** What one document asks of a model; pairs are of one document's choices, in order. */
export type Requests =
  | { readonly kind: 'pairs'; readonly pairs: readonly Pair[] }
  | {
      readonly kind: 'generate'
      readonly context: string
      readonly until: readonly string[]
      readonly maxTokens: number
    }
  | { readonly kind: 'rolling'; readonly text: string }

/** As the harness hashes them: [context, continuation], [context, until] or [text]. */
const arguments_ = (requests: Requests): readonly unknown[] => {
  switch (requests.kind) {
    case 'pairs':
      return requests.pairs
    case 'generate':
      return [[requests.context, requests.until]]
    case 'rolling':
      return [[requests.text]]
  }
}

/**
 * sha256 of the requests in the harness's own JSON form, in hex; one document's, or a whole task's.
 */
export const requestsHash = (documents: readonly Requests[]): string =>
  sha256(pythonJson(documents.flatMap(arguments_)))

/**
 * What a score depends on beside the model: sha256 over the documents' hashes, one a line, in
 * order.
 */
export const promptHash = (documentHashes: readonly string[]): string =>
  sha256(documentHashes.join('\n'))

/** `requestsHash` says what a model is asked; this one also says how it is judged. */
export const contentHash = (document: object, requests: Requests): string =>
  sha256(JSON.stringify([document, requests]))

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/**
 * Python's json.dumps(list): blanks after commas, everything outside 0x20 … 0x7e escaped by UTF-16
 * unit. Of lists and texts.
 */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export type Fit = {
  readonly maxPositions: number
  readonly bos: EvaluationSettings['bos']
}

/**
 * The log-likelihoods of a document's pairs as contexts with branches, whose choices are the pairs in
 * order. As the harness does it: blanks at a context's end move to the continuation, which is encoded
 * together with the context, and what lies beyond the context's own tokens is scored behind them:
 *
 *     enc(context)             a b c
 *     enc(context + choice 1)  a b c d         fed a b c d, scored d
 *     enc(context + choice 2)  a b ce f        fed a b c f, scored f: not ce, whose half is the context's
 *
 * Pairs of one context are one request. BOS is first where `bos` says so, and never twice. An empty
 * context is BOS, else EOS. What is longer than maxPositions + 1 tokens, the last of which is only
 * predicted, loses its beginning, each pair for itself. Throws FormatError when a continuation alone
 * does not fit.
 */
export function tokenizePairs(text: Text, pairs: readonly Pair[], fit: Fit): ScoreRequest[] {
  const encode = encoder(text, fit.bos)
  const requests: { context: readonly number[]; choices: number[][]; scored: number[] }[] = []
  let last: { readonly context: string; readonly ids: readonly number[] } = {
    context: '\0',
    ids: [],
  }
  for (const [context, continuation] of pairs) {
    const kept = stripEnd(context)
    const own: readonly number[] =
      last.context === kept ? last.ids : kept === '' ? prefix(text) : encode(kept)
    const moved = context.slice(kept.length) + continuation
    const whole = kept === '' ? withPrefix(own, text.encode(moved)) : encode(kept + moved)
    // Where everything merges into the context, its last token is what is left to score.
    const ids = whole.length > own.length ? whole.slice(own.length) : whole.slice(-1)
    const before = whole.length > own.length ? own : whole.slice(0, -1)
    const cut = fitting(before, ids, fit.maxPositions)
    const same = requests.at(-1)
    if (last.context === kept && same?.context === cut) {
      same.choices.push(ids)
      same.scored.push(ids.length)
    } else {
      requests.push({ context: cut, choices: [ids], scored: [ids.length] })
    }
    last = { context: kept, ids: own }
  }
  return requests
}

/** The context less its beginning; at least one token of it. */
function fitting(
  context: readonly number[],
  continuation: readonly number[],
  maxPositions: number,
): readonly number[] {
  const excess = context.length + continuation.length - (maxPositions + 1)
  if (excess <= 0) return context
  if (excess >= context.length)
    throw new FormatError(
      `a continuation of ${continuation.length} tokens, expected at most ${maxPositions}: the model has ${maxPositions} positions`,
    )
  return context.slice(excess)
}

/**
 * A text as windows of at most maxPositions tokens, each token predicted once: BOS (else EOS) goes
 * before the first, and the last window is moved back so that it is full.
 */
export function tokenizeRolling(text: Text, whole: string, fit: Fit): ScoreRequest[] {
  const tokens = encoder(text, fit.bos)(whole)
  return rollingWindows(tokens, prefix(text)[0]!, fit.maxPositions).map(({ input, predicted }) => {
    const scored = predicted.length
    return {
      context: input.slice(0, input.length - scored + 1),
      choices: [predicted],
      scored: [scored],
    }
  })
}

/** `input` is read, and predicts `predicted` from its end. */
export type Window = { readonly input: readonly number[]; readonly predicted: readonly number[] }

/**
 * Windows of `size` inputs over tokens, disjoint in what they predict (context_len 1 of the harness):
 *
 *     size 4    [· a b c] → a b c d    [d e f g] → e f g h    [g h i j] → i j k: the last window goes back
 */
export function rollingWindows(
  tokens: readonly number[],
  prefixToken: number,
  size: number,
): Window[] {
  if (tokens.length === 0) return []
  const first = Math.min(size, tokens.length)
  const windows: Window[] = [
    { input: [prefixToken, ...tokens.slice(0, first - 1)], predicted: tokens.slice(0, first) },
  ]
  for (let done = first; done < tokens.length;) {
    const end = Math.min(done + size, tokens.length)
    windows.push({
      input: tokens.slice(Math.max(0, end - size - 1), end - 1),
      predicted: tokens.slice(done, end),
    })
    done = end
  }
  return windows
}

/** What is read before a response is written: as it is encoded, less a beginning that leaves no room. */
export function tokenizePrompt(
  text: Text,
  context: string,
  maxTokens: number,
  { maxPositions, bos }: Fit,
): number[] {
  const room = maxPositions - maxTokens
  if (room < 1)
    throw new FormatError(
      `${maxTokens} new tokens, expected fewer than the model's ${maxPositions} positions`,
    )
  const ids = context === '' ? prefix(text) : encoder(text, bos)(context)
  return ids.slice(-room)
}

/** Special tokens as `bos` says, but BOS stays single where the text spells it. */
function encoder(text: Text, bos: Fit['bos']): (content: string) => number[] {
  const adds = bos === 'TOKENIZER' ? text.addsBos : bos === 'ALWAYS'
  if (adds && text.bosId === null)
    throw new FormatError('BOS was asked for, and the tokenizer has none')
  return (content) => {
    const ids = text.encode(content)
    return adds && ids[0] !== text.bosId ? [text.bosId!, ...ids] : ids
  }
}

function prefix(text: Text): number[] {
  const id = text.bosId ?? text.eosId
  if (id === null)
    throw new FormatError(
      'an empty context needs a BOS or EOS token, and the tokenizer has neither',
    )
  return [id]
}

const withPrefix = (own: readonly number[], ids: number[]): number[] =>
  ids[0] === own[0] ? ids : [...own, ...ids]
