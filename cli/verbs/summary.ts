/** oddsmith summary: LLM AutoEval's table of a run's suites, in Markdown. */
import type { Command } from 'commander'
import { connectByEnvironment } from '../config.ts'
import { Failure } from '../exit.ts'
import { print, type Common } from '../output.ts'

type Answer = {
  readonly run: { readonly summary: string | null; readonly suiteResults: readonly object[] } | null
}

export const addSummary = (program: Command): Command =>
  program
    .command('summary <run>')
    .description("print a run's suites as Markdown")
    .action(async (id: string, options: Common) => {
      const { run } = await connectByEnvironment(process.env).query<Answer>(
        `query ($id: ID!) { run(id: $id) { summary suiteResults {
           suite { name } model { name } adapter { name } mean standardError percent n missing
           groups { name mean standardError percent n missing tasks { task metric n mean standardError } } } } }`,
        { id },
      )
      if (run === null) throw new Failure('REFUSED', `there is no run ${id}`)
      const { summary, suiteResults } = run
      if (summary === null) throw new Failure('REFUSED', `run ${id} was asked for no suite`)
      print(options, suiteResults, () => summary.trimEnd())
    })
