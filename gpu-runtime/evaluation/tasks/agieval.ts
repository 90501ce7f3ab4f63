/**
 * AGIEval's English multiple choice (Zhong et al. 2023) in the rows that the Nous suite is run on: the
 * query is written out, letters are part of the choices, and several choices may be right.
 *
 *     Q: If $\frac{x-1}{3}=k$ … Answer Choices: (A)2 … (D)10⏎A: Among A through D, the answer is| (D)10
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const agieval = (name: string): ChoiceTask => ({
  kind: 'multiple_choice',
  document(value, row) {
    const read = columns(value, row, name)
    const choices = read.texts('choices')
    return { text: read.text('query'), choices, gold: read.indices('gold', choices) }
  },
})
