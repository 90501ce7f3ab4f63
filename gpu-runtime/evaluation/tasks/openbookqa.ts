/**
 * OpenBookQA (Mihaylov et al. 2018), as lm-evaluation-harness asks it: the stem as it is, which each
 * choice completes.
 *
 *     … they decide the best way to save money is to| quit eating lunch out
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const openbookqa: ChoiceTask = {
  kind: 'multiple_choice',
  document(value, row) {
    const read = columns(value, row, 'openbookqa')
    const { choices, gold } = read.labelled('choices')
    return { text: read.text('question_stem'), choices, gold: [gold] }
  },
}
