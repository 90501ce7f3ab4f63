/**
 * The embedded benchmark: rows { messages, choices, gold } of the demo's language, asked in the
 * model's own chat format. With a chat template there is no delimiter: the choice stands where the
 * answer would begin.
 *
 *     <|im_start|>user⏎Eve, which is bigger, the ant or the horse?<|im_end|>⏎<|im_start|>assistant⏎|the horse
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const whoIsBigger: ChoiceTask = {
  kind: 'multiple_choice',
  delimiter: '',
  rendered: true,
  document(value, row, text) {
    const read = columns(value, row, 'who_is_bigger')
    const choices = read.texts('choices')
    return {
      text: text.render(read.messages('messages'), { addGenerationPrompt: true }),
      choices,
      gold: [read.index('gold', choices)],
    }
  },
}
