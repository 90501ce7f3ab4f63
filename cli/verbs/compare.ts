/** oddsmith compare: two subjects on the samples that both were scored on. */
import type { Command } from 'commander'
import { findComparison } from '../comparison.ts'
import { comparisonTable } from '../comparisonTable.ts'
import { connectByEnvironment } from '../config.ts'
import { list } from '../options.ts'
import { print, type Common } from '../output.ts'

type Options = Common & {
  readonly baseline?: string
  readonly candidate?: string
  readonly task?: readonly string[]
}

export const addCompare = (program: Command): Command =>
  program
    .command('compare [comparison]')
    .description('compare two scored subjects, or show a comparison that is stored')
    .option('--baseline <id or name>', 'the zero line: a model or an adapter')
    .option('--candidate <id or name>', 'what is to be better')
    .option('--task <name>', 'on this task only; again, or with commas, for more', list)
    .action(async (comparison: string | undefined, options: Options) => {
      const client = connectByEnvironment(process.env)
      const found = await findComparison(client, { comparison, ...options })
      print(options, found, () => `${found.id}\n\n${comparisonTable(found.tasks)}`)
    })
