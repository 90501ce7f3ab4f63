/**
 * IFEval (Zhou et al. 2023): prompts with instructions whose following can be checked. The verdicts are
 * ../ifeval's; shares of instructions are quotients of sums, so what they weigh is how many there are.
 */
import { checks, judge } from '../ifeval/verify.ts'
import { columns } from './columns.ts'
import type { GenerationDocument, GenerationTask, Scores } from './task.ts'

type Instructed = GenerationDocument & {
  readonly instructions: readonly string[]
  readonly kwargs: readonly unknown[]
}

const count = (followed: readonly boolean[]): number => followed.filter(Boolean).length

export const ifeval: GenerationTask<Instructed> = {
  kind: 'generate_until',
  until: [],
  maxTokens: 1280,
  zeroShot: true,
  document(value, row) {
    const { text, list } = columns(value, row, 'ifeval')
    const document = {
      text: text('prompt'),
      instructions: list(
        'instruction_id_list',
        (id): id is string => typeof id === 'string',
        'of texts',
      ),
      kwargs: list('kwargs', (given): given is unknown => typeof given === 'object', 'of objects'),
    }
    checks(document.instructions, document.kwargs, document.text)
    return { ...document, target: document.instructions.join(', ') }
  },
  judge({ text, instructions, kwargs }, response) {
    const { strict, loose } = judge(checks(instructions, kwargs, text), response)
    const weights: Scores = {
      inst_level_strict_acc: instructions.length,
      inst_level_loose_acc: instructions.length,
    }
    return {
      scores: {
        prompt_level_strict_acc: Number(strict.every(Boolean)),
        inst_level_strict_acc: count(strict),
        prompt_level_loose_acc: Number(loose.every(Boolean)),
        inst_level_loose_acc: count(loose),
      },
      weights,
    }
  },
}
