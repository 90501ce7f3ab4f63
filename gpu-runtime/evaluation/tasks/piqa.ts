/**
 * PIQA (Bisk et al. 2019), as lm-evaluation-harness asks it:
 *
 *     Question: How do I ready a guinea pig cage for it's new occupants?⏎Answer:| Provide the guinea pig …
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const piqa: ChoiceTask = {
  kind: 'multiple_choice',
  document(value, row) {
    const read = columns(value, row, 'piqa')
    const choices = [read.text('sol1'), read.text('sol2')]
    return {
      text: `Question: ${read.text('goal')}\nAnswer:`,
      choices,
      gold: [read.index('label', choices)],
    }
  },
}
