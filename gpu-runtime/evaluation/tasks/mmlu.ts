/**
 * MMLU (Hendrycks et al. 2021), a subject: today's harness shows four answers and asks for the letter,
 * 0.3.0 (hendrycksTest there) for the answer's own text.
 *
 *     LM_EVAL  The following are multiple choice questions (with answers) about anatomy.⏎⏎
 *              Which …?⏎A. the lung⏎B. …⏎C. …⏎D. …⏎Answer:| B
 *     NOUS     Question: Which …?⏎Choices:⏎A. the lung⏎B. …⏎C. …⏎D. …⏎Answer:| the heart
 *
 * Examples are the first of dev. 0.3.0 draws them from the validation split, one more than it shows:
 * whoever wants its own has to name that split's file, and of dev, which has five, it shows four.
 */
import { strip } from '../python.ts'
import { columns } from './columns.ts'
import { judgeAsIs, type ChoiceTask, type Dialects } from './task.ts'

const letters = ['A', 'B', 'C', 'D']

/** The subject as its rows are named: abstract_algebra. */
export function mmlu(subject: string): Dialects {
  const name = `mmlu_${subject}`
  const LM_EVAL: ChoiceTask = {
    kind: 'multiple_choice',
    description: `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
    choose: 'FIRST',
    judge: judgeAsIs,
    document(value, row) {
      const { question, listed, gold } = read(value, row, name)
      return { text: `${strip(question)}\n${listed}Answer:`, choices: letters, gold: [gold] }
    },
  }
  const NOUS: ChoiceTask = {
    kind: 'multiple_choice',
    leavesOutItself: true,
    document(value, row) {
      const { question, listed, choices, gold } = read(value, row, name)
      return {
        text: `Question: ${question}\nChoices:\n${listed}Answer:`,
        choices,
        gold: [gold],
      }
    },
  }
  return { LM_EVAL, NOUS }
}

/** Rows have `choices`, or in CSV choice0 … choice3; `answer` is an index. */
function read(value: unknown, row: number, task: string) {
  const columnsOf = columns(value, row, task)
  const choices = columnsOf.has('choices')
    ? columnsOf.texts('choices')
    : letters.map((_, i) => columnsOf.text(`choice${i}`))
  if (choices.length !== letters.length)
    throw columnsOf.fail(`choices are ${choices.length}, expected ${letters.length}`)
  return {
    question: columnsOf.text('question'),
    listed: choices.map((choice, i) => `${letters[i]}. ${choice}\n`).join(''),
    choices,
    gold: columnsOf.index('answer', choices),
  }
}
