/**
 * ARC, easy set (Clark et al. 2018), as lm-evaluation-harness asks it, without examples:
 *
 *     Question: Which statement best explains why …?⏎Answer:| Sunlight is the source …
 *
 * `answerKey` is a letter in most rows and a digit in some; either is one of the row's own labels.
 */
import { columns } from './columns.ts'
import { codePoints, type Task } from './task.ts'

export const arcEasy: Task = {
  document(value, row) {
    const read = columns(value, row, 'arc_easy')
    const { choices, gold } = read.labelled('choices')
    return {
      context: `Question: ${read.text('question')}\nAnswer:`,
      choices: choices.map((choice) => ` ${choice}`),
      gold,
      lengths: choices.map(codePoints),
    }
  },
}
