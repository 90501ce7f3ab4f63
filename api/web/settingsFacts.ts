/** How a board's questions were asked, in a few words each. */
import type { EvaluationSettings } from '#schema/spec.ts'
import { sha256 } from '../canonical.ts'
import { plural, short } from './format.ts'

export type Asked = { readonly settings: EvaluationSettings; readonly promptHash: string }

/** What people call a setting, and what it is. */
export const settingsFacts = {
  'task version': ({ settings }) => String(settings.version),
  documents: ({ settings: { limit } }) =>
    limit === null ? 'all rows' : `first ${plural(limit, 'row')}`,
  'rows file': ({ settings }) => short(settings.rowsSha256),
  examples: ({ settings: { fewShot, fewShotSeed, examplesSha256 } }) =>
    fewShot === 0
      ? 'zero-shot'
      : `${fewShot}-shot, seed ${fewShotSeed}${examplesSha256 === null ? '' : `, of ${short(examplesSha256)}`}`,
  template: ({ settings: { chatTemplate, fewShotAsMultiturn, fewShot } }) =>
    !chatTemplate
      ? 'plain text'
      : fewShot > 0 && fewShotAsMultiturn
        ? 'chat template, examples as turns'
        : 'chat template',
  'system instruction': ({ settings: { systemInstruction } }) =>
    // The leaderboard is public, and an instruction may be nobody else's business.
    systemInstruction === null ? 'none' : short(sha256(systemInstruction)),
  BOS: ({ settings: { bos } }) =>
    ({ TOKENIZER: 'as the tokenizer', ALWAYS: 'always', NEVER: 'never' })[bos],
  'scored as': ({ settings: { dialect } }) =>
    dialect === 'LM_EVAL' ? 'lm-evaluation-harness' : 'its Nous fork',
  precision: ({ settings }) => settings.dtype.toLowerCase().replace('_', ', '),
  prompts: ({ promptHash }) => short(promptHash),
} as const satisfies Record<string, (asked: Asked) => string>

export type Fact = keyof typeof settingsFacts

/** Those on which some of the boards differ. */
export const differing = (boards: readonly Asked[]): Fact[] =>
  (Object.keys(settingsFacts) as Fact[]).filter(
    (fact) => new Set(boards.map((board) => settingsFacts[fact](board))).size > 1,
  )
