/**
 * OpenBookQA (Mihaylov et al. 2018), as lm-evaluation-harness asks it, without examples: the stem
 * as it is, which each choice completes.
 *
 *     … they decide the best way to save money is to| quit eating lunch out
 */
import { columns } from './columns.ts'
import { codePoints, type Task } from './task.ts'

export const openbookqa: Task = {
  document(value, row) {
    const read = columns(value, row, 'openbookqa')
    const { choices, gold } = read.labelled('choices')
    return {
      context: read.text('question_stem'),
      choices: choices.map((choice) => ` ${choice}`),
      gold,
      lengths: choices.map(codePoints),
    }
  },
}
