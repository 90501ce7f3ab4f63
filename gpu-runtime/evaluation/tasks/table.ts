/** Every task of the catalogue in schema/tasks.ts, by name. */
import { taskNames, type TaskDialect } from '#schema/tasks.ts'
import { FormatError } from '../../error.ts'
import { arcEasy } from './arcEasy.ts'
import { openbookqa } from './openbookqa.ts'
import { everywhere, type Dialects, type Task } from './task.ts'
import { whoIsBigger } from './whoIsBigger.ts'

export const taskTable: Readonly<Record<string, Dialects>> = {
  who_is_bigger: { LM_EVAL: whoIsBigger },
  arc_easy: everywhere(arcEasy),
  openbookqa: everywhere(openbookqa),
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
