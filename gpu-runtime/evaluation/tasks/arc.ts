/**
 * ARC, easy and challenge set (Clark et al. 2018), as lm-evaluation-harness asks it:
 *
 *     Question: Which statement best explains why …?⏎Answer:| Sunlight is the source …
 *
 * `answerKey` is a letter in most rows and a digit in some; either is one of the row's own labels.
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const arc = (name: string): ChoiceTask => ({
  kind: 'multiple_choice',
  document(value, row) {
    const read = columns(value, row, name)
    const { choices, gold } = read.labelled('choices')
    return { text: `Question: ${read.text('question')}\nAnswer:`, choices, gold: [gold] }
  },
})
