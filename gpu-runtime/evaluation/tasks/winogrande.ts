/**
 * WinoGrande (Sakaguchi et al. 2019), as lm-evaluation-harness asks it: which of two names makes the
 * rest of the sentence likelier (Trinh and Le 2018).
 *
 *     Sarah was a much better surgeon than Maria so Sarah| always got the easier cases.
 *     Sarah was a much better surgeon than Maria so Maria| always got the easier cases.
 */
import { strip } from '../python.ts'
import { columns } from './columns.ts'
import { judgeAsIs, type ChoiceTask } from './task.ts'

export const winogrande: ChoiceTask = {
  kind: 'multiple_choice',
  judge: judgeAsIs,
  document(value, row) {
    const read = columns(value, row, 'winogrande')
    const sentence = read.text('sentence')
    const blank = sentence.indexOf('_')
    if (blank === -1)
      throw read.fail(`sentence is ${JSON.stringify(sentence)}, expected a "_" in it`)
    const answer = read.text('answer')
    if (answer !== '1' && answer !== '2')
      throw read.fail(`answer is ${JSON.stringify(answer)}, expected "1" or "2"`)
    const rest = strip(sentence.slice(blank + 1))
    return {
      text: ['option1', 'option2'].map((option) => sentence.slice(0, blank) + read.text(option)),
      choices: [rest, rest],
      gold: [Number(answer) - 1],
    }
  },
}
