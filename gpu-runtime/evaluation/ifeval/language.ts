/** language: the language of the whole text. */
import { z } from 'zod'
import { instruction } from './instruction.ts'
import { detectLanguage } from './languageDetection.ts'
import { languageProfiles } from './languageProfiles.ts'

/** ISO 639-1 codes that IFEval asks for. */
const asked = [
  'ar',
  'bg',
  'bn',
  'de',
  'en',
  'es',
  'fa',
  'fi',
  'fr',
  'gu',
  'he',
  'hi',
  'it',
  'ja',
  'kn',
  'ko',
  'ml',
  'mr',
  'ne',
  'pa',
  'pl',
  'pt',
  'ru',
  'sw',
  'ta',
  'te',
  'th',
  'uk',
  'ur',
  'vi',
] as const

/** A text in which no language can be seen counts as being in the right one. */
export function isIn(language: string, text: string): boolean {
  const found = detectLanguage(text, languageProfiles())
  return found === null || found === language
}

export const responseLanguage = instruction(
  { language: z.enum(asked) },
  ({ language }) =>
    (response) =>
      isIn(language, response),
)
