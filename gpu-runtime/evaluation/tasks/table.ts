/** Every task of the catalogue in schema/tasks.ts, by name. */
import { taskNames, type TaskDialect } from '#schema/tasks.ts'
import { FormatError } from '../../error.ts'
import { agieval } from './agieval.ts'
import { arc } from './arc.ts'
import { bigBench } from './bigBench.ts'
import { boolq } from './boolq.ts'
import { gsm8k } from './gsm8k.ts'
import { hellaswag } from './hellaswag.ts'
import { ifeval } from './ifeval.ts'
import { lambadaOpenai } from './lambada.ts'
import { mmlu } from './mmlu.ts'
import { openbookqa } from './openbookqa.ts'
import { piqa } from './piqa.ts'
import { everywhere, type ChoiceTask, type Dialects, type Task } from './task.ts'
import { truthfulqaMc, truthfulqaMc1, truthfulqaMc2 } from './truthfulqa.ts'
import { whoIsBigger } from './whoIsBigger.ts'
import { wikitext } from './wikitext.ts'
import { winogrande } from './winogrande.ts'

/** Where rows are of a validation split, today's harness draws as if its examples were of the same split. */
const ofValidation = ({ LM_EVAL, NOUS }: Dialects): Dialects => ({
  LM_EVAL: { ...(LM_EVAL as ChoiceTask), leavesOutItself: true },
  NOUS: NOUS!,
})

/** Tasks that are alike, by what begins their names in the catalogue. */
const family = (
  beginning: string,
  make: (rest: string, name: string) => Dialects,
): Record<string, Dialects> =>
  Object.fromEntries(
    taskNames
      .filter((name) => name.startsWith(beginning))
      .map((name) => [name, make(name.slice(beginning.length), name)]),
  )

export const taskTable: Readonly<Record<string, Dialects>> = {
  who_is_bigger: { LM_EVAL: whoIsBigger },
  arc_easy: everywhere(arc('arc_easy')),
  arc_challenge: everywhere(arc('arc_challenge')),
  boolq: ofValidation(boolq),
  hellaswag: ofValidation(everywhere(hellaswag)),
  openbookqa: everywhere(openbookqa),
  piqa: ofValidation(everywhere(piqa)),
  winogrande: ofValidation(everywhere(winogrande)),
  truthfulqa_mc1: { LM_EVAL: truthfulqaMc1 },
  truthfulqa_mc2: { LM_EVAL: truthfulqaMc2 },
  truthfulqa_mc: { NOUS: truthfulqaMc },
  ...family('agieval_', (_, name) => everywhere(agieval(name))),
  lambada_openai: {
    LM_EVAL: lambadaOpenai,
    NOUS: { ...lambadaOpenai, delimiter: '', leavesOutItself: true },
  },
  wikitext: everywhere(wikitext),
  gsm8k,
  ifeval: { LM_EVAL: ifeval },
  ...family('bigbench_', (_, name) => ({ NOUS: bigBench(name) })),
  ...family('mmlu_', mmlu),
}

/** Throws FormatError where there is no such task, or not in this dialect. */
export function findTask(name: string, dialect: TaskDialect): Task {
  const entry = Object.hasOwn(taskTable, name) ? taskTable[name] : undefined
  if (entry === undefined)
    throw new FormatError(`task ${name}: expected one of ${taskNames.join(', ')}`)
  const found = entry[dialect]
  if (found === undefined)
    throw new FormatError(
      `task ${name}: dialect ${dialect}, expected ${Object.keys(entry).join(' or ')}`,
    )
  return found
}
