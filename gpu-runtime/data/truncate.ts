/** The rules by which trainers cut a pair that is too long. All count tokens, after BOS and EOS were added. */
import type { Text } from '../text/text.ts'

export type Lengths = {
  /** Most tokens of prompt + answer. */
  readonly maxLength: number
  /** Most tokens of a prompt that had to be cut, for the rules that cut prompts to a length of their own. */
  readonly maxPromptLength: number
}

/** One prompt, two answers. */
export type Ids = {
  readonly prompt: readonly number[]
  readonly chosen: readonly number[]
  readonly rejected: readonly number[]
}

/** One conversation, where each of a pair has a prompt of its own. */
export type Side = { readonly prompt: readonly number[]; readonly answer: readonly number[] }
export type Sides = { readonly chosen: Side; readonly rejected: Side }

/**
 * Oddsmith's. When the prompt and the longer answer do not fit into maxLength, the prompt keeps its end, up to
 * maxPromptLength; then each answer keeps its beginning, up to what the prompt left of maxLength. BOS stays first, and the end
 * of turn stays last, so that neither side of a cut pair loses the tokens that all others have; nothing is cut to empty.
 *
 *     maxLength 8, maxPromptLength 4, B = BOS, E = EOS
 *     prompt    B 1 2 3 4 5    → B 3 4 5        its last three, after BOS
 *     chosen    6 7 8 9 E      → 6 7 8 E        four of its five: E stays, 9 is cut
 *     rejected  6 E            → 6 E            fits
 */
export function keepEnds(
  { prompt, chosen, rejected }: Ids,
  { maxLength, maxPromptLength }: Lengths,
  { bosId, eosId }: Pick<Text, 'bosId' | 'eosId'>,
): Ids {
  const fits = prompt.length + Math.max(chosen.length, rejected.length) <= maxLength
  const kept = fits ? prompt : keepEnd(prompt, Math.min(maxPromptLength, maxLength - 1), bosId)
  const room = maxLength - kept.length
  return {
    prompt: kept,
    chosen: keepStart(chosen, room, eosId),
    rejected: keepStart(rejected, room, eosId),
  }
}

function keepEnd(ids: readonly number[], room: number, bosId: number | null): readonly number[] {
  if (ids.length <= room) return ids
  const first = ids[0]!
  return first === bosId && room > 1
    ? [first, ...ids.slice(ids.length - room + 1)]
    : ids.slice(ids.length - room)
}

/** The end of turn is EOS and at most one token after it (ChatML's line break). */
function keepStart(ids: readonly number[], room: number, eosId: number | null): readonly number[] {
  if (ids.length <= room) return ids
  const eosAt = eosId === null ? -1 : ids.lastIndexOf(eosId)
  const end = eosAt >= ids.length - 2 && eosAt > 0 ? ids.slice(eosAt) : []
  const kept = Math.max(1, room - end.length)
  return [...ids.slice(0, kept), ...end.slice(0, room - kept)]
}

/**
 * LLaMA-Factory's (`infer_seqlen`). Prompt and longer answer share maxLength in proportion to their lengths, but what needs
 * less than half of it is not cut; all keep their beginning, so the end of a cut prompt is lost.
 *
 *     maxLength 8      prompt 6, answer 3 → 5, 3        prompt 3, answer 9 → 3, 5        prompt 6, answer 6 → 4, 4
 */
export function inProportion(
  { prompt, chosen, rejected }: Ids,
  { maxLength }: Pick<Lengths, 'maxLength'>,
): Ids {
  const source = prompt.length
  const target = Math.max(chosen.length, rejected.length)
  let room = Math.floor(maxLength * (target / (source + target)))
  if (target * 2 < maxLength) room = maxLength
  else if (source * 2 < maxLength) room = maxLength - source
  const kept = Math.min(room, target)
  return {
    prompt: prompt.slice(0, maxLength - kept),
    chosen: chosen.slice(0, kept),
    rejected: rejected.slice(0, kept),
  }
}

/** TRL's of 1.x: the prompt is never cut, each answer keeps what is left, which may be nothing. */
export function cutAnswers(
  { chosen, rejected }: Sides,
  { maxLength }: Pick<Lengths, 'maxLength'>,
): Sides {
  const cut = ({ prompt, answer }: Side): Side => ({
    prompt,
    answer: answer.slice(0, Math.max(0, maxLength - prompt.length)),
  })
  return { chosen: cut(chosen), rejected: cut(rejected) }
}

/**
 * TRL's of 0.8 (`truncation_mode="keep_end"`). What does not fit together with the longer answer: a prompt keeps its last
 * maxPromptLength tokens, BOS is lost; does it still not fit, its answer keeps its first maxLength − maxPromptLength, even
 * where the prompt leaves more, and EOS is lost.
 *
 *     maxLength 8, maxPromptLength 4
 *     prompt B 1 2 3 4 5, chosen 6 7 8 9 E, rejected 6 E   →   2 3 4 5,  6 7 8 9,  6 E
 */
export function keepPromptEnds(
  { chosen, rejected }: Sides,
  { maxLength, maxPromptLength }: Lengths,
): Sides {
  const longer = Math.max(chosen.answer.length, rejected.answer.length)
  const cut = ({ prompt, answer }: Side): Side => {
    if (prompt.length + longer <= maxLength) return { prompt, answer }
    const kept = prompt.slice(-maxPromptLength)
    const fits = kept.length + longer <= maxLength
    return { prompt: kept, answer: fits ? answer : answer.slice(0, maxLength - maxPromptLength) }
  }
  return { chosen: cut(chosen), rejected: cut(rejected) }
}
