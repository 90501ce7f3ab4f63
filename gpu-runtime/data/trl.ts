/** Preferences as TRL's ORPO trainer reads them: which strings are prompt and answers, and how they become token ids. */
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { Message, Preference } from './preference.ts'
import type { Side, Sides } from './truncate.ts'

export type Strings = {
  readonly prompt: string
  readonly chosen: string
  readonly rejected: string
}

const whole = { addGenerationPrompt: false }

/**
 * TRL since 0.12. Texts are taken as they are, without a template. Of messages the prompt column counts when it has messages,
 * else what chosen and rejected begin with; the template renders the prompt with its generation prompt (a prompt that ends
 * in an assistant's message stays open at its end) and both conversations, and an answer is what its string has beyond the
 * prompt. Throws FormatError where TRL has no prompt, or would drop the one that is given.
 */
export function currentStrings(text: Text, { given }: Preference): Strings {
  const { prompt, chosen, rejected } = given
  if (typeof chosen === 'string' || typeof rejected === 'string') {
    if (typeof prompt === 'string' && typeof chosen === 'string' && typeof rejected === 'string')
      return { prompt, chosen, rejected }
    throw new FormatError(
      'expected prompt, chosen and rejected all as text or all as messages: TRL drops a prompt of another kind than its answers',
    )
  }
  const asked: readonly Message[] =
    prompt === null || typeof prompt === 'string' ? chosen.slice(0, -1) : prompt
  const answers =
    asked === prompt
      ? { chosen, rejected }
      : { chosen: chosen.slice(-1), rejected: rejected.slice(-1) }
  const rendered = {
    prompt: renderPrompt(text, asked),
    chosen: text.render([...asked, ...answers.chosen], whole),
    rejected: text.render([...asked, ...answers.rejected], whole),
  }
  let shared = 0
  const { prompt: p, chosen: c, rejected: r } = rendered
  while (shared < p.length && p[shared] === c[shared] && p[shared] === r[shared]) shared++
  return { prompt: p.slice(0, shared), chosen: c.slice(shared), rejected: r.slice(shared) }
}

/** What transformers appends to a message that is to be continued, and cuts the rendered text at. */
const openEnd = 'CONTINUE_FINAL_MESSAGE_TAG '

function renderPrompt(text: Text, messages: readonly Message[]): string {
  const last = messages.at(-1)
  if (last === undefined)
    throw new FormatError(
      'no prompt: TRL ignores a prompt column of text beside messages, and chosen and rejected have no message in common',
    )
  if (last.role === 'user' || last.role === 'tool')
    return text.render(messages, { addGenerationPrompt: true })
  if (last.role !== 'assistant')
    throw new FormatError(
      `the prompt ends in a message from "${last.role}"; TRL expects "user", "tool" or "assistant"`,
    )
  const open = { ...last, content: last.content + openEnd }
  const rendered = text.render([...messages.slice(0, -1), open], whole)
  const end = rendered.lastIndexOf(openEnd.trim())
  if (end === -1)
    throw new FormatError('the chat template leaves out the last message of the prompt')
  const before = rendered.slice(0, end)
  // A template that trims messages trims what they end in, too.
  return rendered.startsWith(openEnd, end) ? before : before.trimEnd()
}

/**
 * What the article "fine-tune Llama 3 with ORPO" hands to TRL 0.8: the prompt column as it is, and both whole conversations by
 * the chat template, so that each answer has the prompt in it once more. Throws FormatError where there is no prompt as text.
 */
export function articleStrings(text: Text, { given }: Preference): Strings {
  if (typeof given.prompt !== 'string')
    throw new FormatError(
      `expected a prompt column of text, which TRL 0.8 reads, found ${given.prompt === null ? 'none' : 'messages'}`,
    )
  const rendered = (column: string | readonly Message[]) =>
    typeof column === 'string' ? column : text.render(column, whole)
  return {
    prompt: given.prompt,
    chosen: rendered(given.chosen),
    rejected: rendered(given.rejected),
  }
}

/**
 * TRL's merge rule. Each side is encoded whole; its answer begins after as many tokens as the prompt alone has, or one earlier
 * when those tokens are not the prompt's, because the tokenizer merged over the border:
 *
 *     enc(prompt)              a b c
 *     enc(prompt + chosen)     a b cd e        prompt a b,   answer cd e
 *     enc(prompt + rejected)   a b c f         prompt a b c, answer f
 *
 * BOS goes before and EOS behind: always (TRL 0.8), or where they are missing at the very end (TRL since 0.9; ChatML's line
 * break after EOS gets another EOS). A tokenizer without them gets none. Throws FormatError where the prompts differ by more.
 */
export function encodeSides(
  text: Text,
  { prompt, chosen, rejected }: Strings,
  ends: 'ALWAYS' | 'MISSING',
): Sides {
  const alone = text.encode(prompt)
  const split = (answer: string): Side => {
    const ids = text.encode(prompt + answer)
    const merged = alone.some((id, i) => ids[i] !== id)
    const at = alone.length - Number(merged)
    return { prompt: ids.slice(0, at), answer: ids.slice(at) }
  }
  const sides = { chosen: split(chosen), rejected: split(rejected) }
  const [a, b] = [sides.chosen.prompt, sides.rejected.prompt]
  const shorter = Math.min(a.length, b.length)
  const different = a.slice(0, shorter).filter((id, i) => id !== b[i]).length
  if (different > 1 || Math.abs(a.length - b.length) > 1)
    throw new FormatError(
      `the prompt's tokens before chosen and before rejected differ in ${different} tokens and ${Math.abs(a.length - b.length)} of length; TRL allows one, where the tokenizer merges the border`,
    )
  const { bosId, eosId } = text
  const always = ends === 'ALWAYS'
  const withEnds = ({ prompt: ids, answer }: Side): Side => ({
    prompt: bosId !== null && (always || ids[0] !== bosId) ? [bosId, ...ids] : ids,
    answer: eosId !== null && (always || answer.at(-1) !== eosId) ? [...answer, eosId] : answer,
  })
  return { chosen: withEnds(sides.chosen), rejected: withEnds(sides.rejected) }
}
