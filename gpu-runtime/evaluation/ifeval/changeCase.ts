/** change_case: capitals and small letters. */
import { count, holds, instruction, relation } from './instruction.ts'
import { isIn } from './language.ts'
import { isLower, isUpper } from '../python.ts'
import { words } from './words.ts'

export const capitalWordFrequency = instruction(
  { capital_frequency: count, capital_relation: relation },
  ({ capital_frequency, capital_relation }) =>
    (response) =>
      holds(words(response).filter(isUpper).length, capital_relation, capital_frequency),
)

export const englishCapital = instruction(
  {},
  () => (response) => isUpper(response) && isIn('en', response),
)

export const englishLowercase = instruction(
  {},
  () => (response) => isLower(response) && isIn('en', response),
)
