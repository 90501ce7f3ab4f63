/**
 * Documents as the requests that lm-evaluation-harness sends: their hashes, and their tokens as one
 * context with branches.
 */
import { createHash } from 'node:crypto'
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { Document } from './tasks/task.ts'

/** [context, continuation]: the log-likelihood of the continuation after the context. */
export type Request = readonly [context: string, continuation: string]

export const requests = ({ context, choices }: Document): Request[] =>
  choices.map((choice) => [context, choice])

/**
 * sha256 of the requests in the harness's own JSON form, in hex; one document's, or a whole task's.
 */
export const requestsHash = (list: readonly Request[]): string => sha256(pythonJson(list))

/**
 * What a score depends on beside the model: sha256 over the documents' hashes, one a line, in
 * order.
 */
export const promptHash = (documentHashes: readonly string[]): string =>
  sha256(documentHashes.join('\n'))

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/**
 * Python's json.dumps(list, sort_keys=True): blanks after commas, everything outside 0x20 … 0x7e
 * escaped by UTF-16 unit.
 */
function pythonJson(list: readonly Request[]): string {
  const text = (value: string) =>
    JSON.stringify(value).replace(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  return `[${list.map((pair) => `[${pair.map(text).join(', ')}]`).join(', ')}]`
}

export type TokenizedRequests = {
  /** What all choices share, at least one token. */
  readonly context: readonly number[]
  /** What follows it, one per choice. */
  readonly choices: readonly (readonly number[])[]
  /**
   * How many tokens at the end of each choice are scored: all of them, unless tokens merge over the
   * border.
   */
  readonly scored: readonly number[]
  /** Tokens cut from the beginning of the context. */
  readonly cut: number
}

/**
 * The requests of one context as a segment with branches. As the harness does it: blanks at the
 * context's end move to the continuations, each continuation is encoded together with the context,
 * and what lies beyond the context's own tokens is scored. The branches part where the encodings
 * do:
 *
 *     enc(context)             a b c
 *     enc(context + choice 1)  a b c d         context a b, branches [c d] and [ce f],
 *     enc(context + choice 2)  a b ce f        scored 1 and 1: d and f
 *
 * (There the harness feeds c and then f, a sequence that no encoding has; here f follows ce.) BOS
 * is first where the tokenizer puts it first, and never twice. An empty context is BOS, else EOS.
 * The context loses its beginning when the longest request has more than maxPositions + 1 tokens,
 * the last of which is only predicted. Throws FormatError when that leaves no context.
 */
export function tokenizeRequest(
  text: Text,
  context: string,
  continuations: readonly string[],
  { maxPositions }: { maxPositions: number },
): TokenizedRequests {
  const kept = context.replace(trailingBlanks, '')
  const encode = encoder(text)
  const own = kept === '' ? prefix(text) : encode(kept)
  const whole = continuations.map((continuation) => {
    const moved = context.slice(kept.length) + continuation
    return kept === '' ? withPrefix(own, text.encode(moved)) : encode(kept + moved)
  })

  let border = 0
  while (
    border < own.length &&
    whole.every((ids) => border < ids.length - 1 && ids[border] === own[border])
  )
    border++
  const request = {
    // Without one shared token the branches still need something to follow.
    context: border === 0 ? prefix(text) : own.slice(0, border),
    choices: whole.map((ids) => ids.slice(border)),
    scored: whole.map((ids) => Math.max(1, ids.length - own.length)), // at least the token that a merge left
    cut: 0,
  }
  return cutToFit(request, maxPositions)
}

/** Python's str.rstrip(). */
// oxlint-disable-next-line no-control-regex
const trailingBlanks = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/

/** The tokenizer's default encoding, but BOS stays single where the text spells it. */
function encoder(text: Text): (content: string) => number[] {
  return (content) => {
    const ids = text.encode(content)
    return text.addsBos && ids[0] !== text.bosId ? [text.bosId!, ...ids] : ids
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

function cutToFit(request: TokenizedRequests, maxPositions: number): TokenizedRequests {
  const longest = Math.max(...request.choices.map((ids) => ids.length))
  const excess = Math.max(0, request.context.length + longest - (maxPositions + 1))
  if (excess === 0) return request
  if (excess >= request.context.length)
    throw new FormatError(
      `a choice of ${longest} tokens, expected at most ${maxPositions}: the model has ${maxPositions} positions`,
    )
  return { ...request, context: request.context.slice(excess), cut: excess }
}
