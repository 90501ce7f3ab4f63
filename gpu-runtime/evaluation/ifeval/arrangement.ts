/** combination, startend and punctuation: how a response begins, ends, and is put together. */
import { z } from 'zod'
import { instruction } from './instruction.ts'
import { strip, stripOf } from '../python.ts'

/** Two that differ, `******` between, with nothing or space before the first and after the last divider. */
export const twoResponses = instruction({}, () => (response) => {
  const parts = response.split('******').map(strip)
  if (parts.slice(1, -1).includes('')) return false
  const filled = parts.filter((part) => part !== '')
  return filled.length === 2 && filled[0] !== filled[1]
})

const phrase = z
  .string()
  .max(100_000)
  .transform((text) => strip(text).toLowerCase())

export const repeatPrompt = instruction(
  { prompt_to_repeat: phrase },
  ({ prompt_to_repeat }) =>
    (response) =>
      strip(response).toLowerCase().startsWith(prompt_to_repeat),
)

export const endChecker = instruction(
  { end_phrase: phrase },
  ({ end_phrase }) =>
    (response) =>
      stripOf(strip(response), '"').toLowerCase().endsWith(end_phrase),
)

export const quotation = instruction({}, () => (response) => {
  const text = strip(response)
  return text.length > 1 && text.startsWith('"') && text.endsWith('"')
})

export const noComma = instruction({}, () => (response) => !response.includes(','))
