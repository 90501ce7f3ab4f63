/** A preference as token ids: one prompt, two answers, cut to the lengths of the recipe. */
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { Preference } from './preference.ts'
import { place } from './rows.ts'

export type Pair = {
  /** 0-based. */
  readonly row: number
  readonly prompt: readonly number[]
  readonly chosen: readonly number[]
  readonly rejected: readonly number[]
  /** Tokens that did not fit. */
  readonly cut: { readonly prompt: number; readonly chosen: number; readonly rejected: number }
}

export type Lengths = {
  /** Most tokens of prompt + answer. */
  readonly maxLength: number
  /** Most tokens of a prompt that had to be cut. */
  readonly maxPromptLength: number
}

/**
 * Tokenize as TRL does since 0.12: prompt and both conversations are rendered by the chat template
 * (the prompt with its generation prompt, when it ends in a user's or tool's turn), an answer is
 * what its conversation has beyond the prompt, and text is encoded whole, so that the border is
 * where the tokens of prompt, chosen and rejected part:
 *
 *     enc(prompt)              a b c
 *     enc(prompt + chosen)     a b cd e        the tokenizer merges over the border,
 *     enc(prompt + rejected)   a b c f         so prompt = a b, chosen = cd e, rejected = c f
 *
 * (TRL has one prompt per side there and starts rejected after c; with a template that ends its
 * turns in special tokens nothing merges.) BOS is put first and EOS last where the tokenizer has
 * them and they are missing. An answer that ends in EOS and white space, as ChatML's
 * "<|im_end|>\n", has its EOS: TRL appends a second one.
 */
export function tokenizePair(text: Text, preference: Preference, lengths: Lengths): Pair {
  const { row } = preference
  const asksForAnswer = ['user', 'tool'].includes(preference.prompt.at(-1)!.role)
  const whole = { addGenerationPrompt: false }
  const rendered = within(row, () => ({
    prompt: text.render(preference.prompt, { addGenerationPrompt: asksForAnswer }),
    chosen: text.render([...preference.prompt, ...preference.chosen], whole),
    rejected: text.render([...preference.prompt, ...preference.rejected], whole),
  }))
  // Some templates render the last turn otherwise once another follows: the prompt is what all three share.
  const shared = commonPrefix(rendered.prompt, rendered.chosen, rendered.rejected)
  const prompt = text.encode(rendered.prompt.slice(0, shared))
  const chosen = text.encode(rendered.chosen)
  const rejected = text.encode(rendered.rejected)
  const border = commonPrefix(prompt, chosen, rejected)

  const ids = {
    prompt: withBos(text, prompt.slice(0, border)),
    chosen: withEos(text, chosen.slice(border)),
    rejected: withEos(text, rejected.slice(border)),
  }
  if (ids.prompt.length === 0) throw new FormatError(`${place(row)}: the prompt has no tokens`)
  if (border === chosen.length || border === rejected.length)
    throw new FormatError(
      `${place(row)}: an answer has no tokens beyond the prompt; does the chat template drop assistant messages?`,
    )
  return { row, ...truncate(text, ids, lengths) }
}

type Ids = { prompt: number[]; chosen: number[]; rejected: number[] }

/**
 * Cut what is too long. When the prompt and the longer answer do not fit into maxLength, the prompt
 * keeps its end, up to maxPromptLength; then each answer keeps its beginning, up to what the prompt
 * left of maxLength. BOS stays first, and the end of turn stays last, so that neither side of a cut
 * pair loses the tokens that all others have; nothing is cut to empty.
 *
 *     maxLength 8, maxPromptLength 4, B = BOS, E = EOS
 *     prompt    B 1 2 3 4 5    → B 3 4 5        its last three, after BOS
 *     chosen    6 7 8 9 E      → 6 7 8 E        four of its five: E stays, 9 is cut
 *     rejected  6 E            → 6 E            fits
 *     cut       { prompt: 2, chosen: 1, rejected: 0 }
 */
export function truncate(
  text: Pick<Text, 'bosId' | 'eosId'>,
  { prompt, chosen, rejected }: Ids,
  { maxLength, maxPromptLength }: Lengths,
): Omit<Pair, 'row'> {
  const fits = prompt.length + Math.max(chosen.length, rejected.length) <= maxLength
  const keptPrompt = fits
    ? prompt
    : keepEnd(prompt, Math.min(maxPromptLength, maxLength - 1), text.bosId)
  const room = maxLength - keptPrompt.length
  const keptChosen = keepStart(chosen, room, text.eosId)
  const keptRejected = keepStart(rejected, room, text.eosId)
  return {
    prompt: keptPrompt,
    chosen: keptChosen,
    rejected: keptRejected,
    cut: {
      prompt: prompt.length - keptPrompt.length,
      chosen: chosen.length - keptChosen.length,
      rejected: rejected.length - keptRejected.length,
    },
  }
}

function keepEnd(ids: number[], room: number, bosId: number | null): number[] {
  if (ids.length <= room) return ids
  const first = ids[0]!
  return first === bosId && room > 1
    ? [first, ...ids.slice(ids.length - room + 1)]
    : ids.slice(ids.length - room)
}

/** The end of turn is EOS and at most one token after it (ChatML's line break). */
function keepStart(ids: number[], room: number, eosId: number | null): number[] {
  if (ids.length <= room) return ids
  const eosAt = eosId === null ? -1 : ids.lastIndexOf(eosId)
  const end = eosAt >= ids.length - 2 && eosAt > 0 ? ids.slice(eosAt) : []
  const kept = Math.max(1, room - end.length)
  return [...ids.slice(0, kept), ...end.slice(0, room - kept)]
}

const withBos = ({ bosId }: Text, ids: number[]): number[] =>
  bosId === null || ids[0] === bosId ? ids : [bosId, ...ids]

function withEos(text: Text, ids: number[]): number[] {
  const { eosId } = text
  if (eosId === null) return ids
  const at = ids.lastIndexOf(eosId)
  const ended = at !== -1 && text.decode(ids.slice(at + 1), { skipSpecial: false }).trim() === ''
  return ended ? ids : [...ids, eosId]
}

/** How many elements (of text: UTF-16 units) all three begin with. */
function commonPrefix<T>(a: ArrayLike<T>, b: ArrayLike<T>, c: ArrayLike<T>): number {
  let shared = 0
  while (shared < a.length && a[shared] === b[shared] && a[shared] === c[shared]) shared++
  return shared
}

function within<T>(row: number, render: () => T): T {
  try {
    return render()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new FormatError(`${place(row)}: ${error.message}`, { cause: error })
  }
}
