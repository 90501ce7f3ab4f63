/**
 * LAMBADA (Paperno et al. 2016) in OpenAI's form, as lm-evaluation-harness asks it: how likely is the
 * last word of a passage, and is it what the model would write itself.
 *
 *     … "Don't forget to tell Helen," said| Gabriel
 */
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const lambadaOpenai: ChoiceTask = {
  kind: 'loglikelihood',
  greedy: true,
  /** Examples are drawn from all passages, the one that is asked for among them. */
  leavesOutItself: false,
  document(value, row) {
    const text = columns(value, row, 'lambada_openai').text('text')
    const end = text.lastIndexOf(' ')
    return {
      text: text.slice(0, Math.max(0, end)),
      choices: [` ${text.slice(end + 1)}`],
      gold: [0],
    }
  },
  judge: (_, [last]) => ({
    scores: { perplexity: last!.logLikelihood, acc: Number(last!.greedy) },
  }),
}
