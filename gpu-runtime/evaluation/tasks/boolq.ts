/**
 * BoolQ (Clark et al. 2019) in SuperGLUE's form, as lm-evaluation-harness asks it. Its questions have
 * no question mark; today's harness asks for "no" first, 0.3.0 for "yes".
 *
 *     Ethanol fuel -- All biomass goes through …⏎Question: does ethanol take more energy …?⏎Answer:| no
 */
import { columns } from './columns.ts'
import { judgeAsIs, type ChoiceTask, type Dialects } from './task.ts'

const asked = (choices: readonly [string, string]): ChoiceTask => ({
  kind: 'multiple_choice',
  judge: judgeAsIs,
  document(value, row) {
    const read = columns(value, row, 'boolq')
    const label = ['no', 'yes'][read.index('label', ['no', 'yes'])]!
    return {
      text: `${read.text('passage')}\nQuestion: ${read.text('question')}?\nAnswer:`,
      choices,
      gold: [choices.indexOf(label)],
    }
  },
})

export const boolq: Dialects = {
  LM_EVAL: asked(['no', 'yes']),
  NOUS: {
    ...asked(['yes', 'no']),
    /** "yes" only where it is likelier: of equals "no" is picked, though it comes second. */
    judge({ gold }, [yes, no]) {
      const picked = yes!.logLikelihood > no!.logLikelihood ? 0 : 1
      return { scores: { acc: Number(gold.includes(picked)) }, picked }
    },
  } satisfies ChoiceTask,
}
