/** oddsmith watch: a run's progress until it has ended. */
import type { Command } from 'commander'
import { connectByEnvironment } from '../config.ts'
import { expectSuccess, follow } from '../follow.ts'
import { print, type Common } from '../output.ts'

export const addWatch = (program: Command): Command =>
  program
    .command('watch <run>')
    .description(
      "show a run's progress on stderr until it has ended; exits with 1 unless it succeeded",
    )
    .action(async (id: string, options: Common) => {
      const ended = await follow(connectByEnvironment(process.env), id)
      print(options, ended, () => `${ended.id}  ${ended.name}  ${ended.status}`)
      expectSuccess(ended)
    })
