/**
 * ORPO as different trainers compute it: how a preference becomes token ids, what is cut when it is too long, and what the mean
 * of the likelihood term runs over. Their names and what they are for are in schema/spec.ts; all else about a loss is the same.
 */
import type { Dialect } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { PairTokens } from './pair.ts'
import type { Preference } from './preference.ts'
import { sharedPrompt, sharedStrings } from './sharedPrompt.ts'
import { articleStrings, currentStrings, encodeSides, type Strings } from './trl.ts'
import {
  cutAnswers,
  inProportion,
  keepEnds,
  keepPromptEnds,
  type Ids,
  type Lengths,
  type Sides,
} from './truncate.ts'

type Rules = {
  /** What is tokenized. Throws FormatError, without the row's number. */
  readonly strings: (text: Text, preference: Preference) => Strings
  /** Throws FormatError, without the row's number. */
  readonly tokenize: (text: Text, preference: Preference, lengths: Lengths) => PairTokens
  /** TOKENS: of all that the term covers in a micro-batch, so that long rows weigh more. SEQUENCES: of each row's own mean. */
  readonly nllMean: 'TOKENS' | 'SEQUENCES'
}

export const dialects: Readonly<Record<Dialect, Rules>> = {
  ODDSMITH: {
    strings: sharedStrings,
    tokenize: (text, preference, lengths) => {
      const ids = sharedPrompt(text, preference)
      return counted(ids, keepEnds(ids, lengths, text))
    },
    nllMean: 'TOKENS',
  },
  TRL_1: {
    strings: currentStrings,
    tokenize: (text, preference, lengths) => {
      const sides = encodeSides(text, currentStrings(text, preference), 'MISSING')
      return forked(sides, cutAnswers(sides, lengths), lengths)
    },
    nllMean: 'TOKENS',
  },
  TRL_0_8: {
    strings: articleStrings,
    tokenize: (text, preference, lengths) => {
      const sides = encodeSides(text, articleStrings(text, preference), 'ALWAYS')
      return forked(sides, keepPromptEnds(sides, lengths), lengths)
    },
    nllMean: 'TOKENS',
  },
  LLAMA_FACTORY: {
    strings: sharedStrings,
    tokenize: (text, preference, lengths) => {
      const ids = sharedPrompt(text, preference)
      return counted(ids, inProportion(ids, lengths))
    },
    nllMean: 'SEQUENCES',
  },
}

function counted(all: Ids, kept: Ids): PairTokens {
  return {
    ...kept,
    cut: {
      prompt: all.prompt.length - kept.prompt.length,
      chosen: all.chosen.length - kept.chosen.length,
      rejected: all.rejected.length - kept.rejected.length,
    },
  }
}

/**
 * Two conversations as one prompt with two branches, which begin where the conversations part: at the answers, or a token
 * earlier on a side whose last prompt token is its own.
 */
function forked(all: Sides, kept: Sides, { maxLength }: Lengths): PairTokens {
  const { chosen, rejected } = kept
  for (const [name, { prompt, answer }] of Object.entries(kept)) {
    if (answer.length === 0)
      throw new FormatError(
        `maxLength ${maxLength} leaves nothing of the ${name} answer: the prompt has ${prompt.length} tokens and this dialect never cuts it (TRL goes on, and its loss is NaN). Raise maxLength, leave the row out, or use dialect ODDSMITH`,
      )
  }
  const shorter = Math.min(chosen.prompt.length, rejected.prompt.length)
  let shared = 0
  while (shared < shorter && chosen.prompt[shared] === rejected.prompt[shared]) shared++
  if (shared === 0 && shorter > 0)
    throw new FormatError(
      `the prompts before chosen and rejected have no token in common: the tokenizer merges the border of one side only, and their ends were cut at different tokens. Raise maxLength, or use dialect ODDSMITH`,
    )
  const branch = ({ prompt, answer }: Sides['chosen']) => [...prompt.slice(shared), ...answer]
  const lost = (side: 'chosen' | 'rejected', part: 'prompt' | 'answer') =>
    all[side][part].length - kept[side][part].length
  return {
    prompt: chosen.prompt.slice(0, shared),
    chosen: branch(chosen),
    rejected: branch(rejected),
    lead: { chosen: chosen.prompt.length - shared, rejected: rejected.prompt.length - shared },
    cut: {
      prompt: Math.max(lost('chosen', 'prompt'), lost('rejected', 'prompt')),
      chosen: lost('chosen', 'answer'),
      rejected: lost('rejected', 'answer'),
    },
  }
}
