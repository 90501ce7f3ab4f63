/** Every task of the catalogue in schema/tasks.ts, by name. */
import type { TaskName } from '#schema/tasks.ts'
import { arcEasy } from './arcEasy.ts'
import { openbookqa } from './openbookqa.ts'
import type { Task } from './task.ts'
import { whoIsBigger } from './whoIsBigger.ts'

export const taskTable: { readonly [name in TaskName]: Task } = {
  who_is_bigger: whoIsBigger,
  arc_easy: arcEasy,
  openbookqa,
}
