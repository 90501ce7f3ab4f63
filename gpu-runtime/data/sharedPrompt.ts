/** A preference as one prompt with two answers, in the tokens that the model will meet. */
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { Preference } from './preference.ts'
import type { Ids } from './truncate.ts'

/**
 * Prompt and both conversations are rendered by the chat template (the prompt with its generation prompt, when it ends in a
 * user's or tool's turn), an answer is what its conversation has beyond the prompt, and text is encoded whole, so that the
 * border is where the tokens of prompt, chosen and rejected part:
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
export function sharedPrompt(text: Text, preference: Preference): Ids {
  const rendered = sharedStrings(text, preference)
  // Some templates render the last turn otherwise once another follows: the prompt is what all three share.
  const shared = commonPrefix(rendered.prompt, rendered.chosen, rendered.rejected)
  const prompt = text.encode(rendered.prompt.slice(0, shared))
  const chosen = text.encode(rendered.chosen)
  const rejected = text.encode(rendered.rejected)
  const border = commonPrefix(prompt, chosen, rejected)
  if (border === chosen.length || border === rejected.length)
    throw new FormatError(
      'an answer has no tokens beyond the prompt; does the chat template drop assistant messages?',
    )
  return {
    prompt: withBos(text, prompt.slice(0, border)),
    chosen: withEos(text, chosen.slice(border)),
    rejected: withEos(text, rejected.slice(border)),
  }
}

/** What the chat template makes of the prompt and of both conversations. */
export function sharedStrings(
  text: Text,
  { prompt, chosen, rejected }: Preference,
): { prompt: string; chosen: string; rejected: string } {
  const asksForAnswer = ['user', 'tool'].includes(prompt.at(-1)!.role)
  const whole = { addGenerationPrompt: false }
  return {
    prompt: text.render(prompt, { addGenerationPrompt: asksForAnswer }),
    chosen: text.render([...prompt, ...chosen], whole),
    rejected: text.render([...prompt, ...rejected], whole),
  }
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
