/** The command `oddsmith`: one verb a file. */
import { Command, CommanderError } from 'commander'
import { exitCodes, Failure } from './exit.ts'
import { addCompare } from './verbs/compare.ts'
import { addEval } from './verbs/eval.ts'
import { addExport } from './verbs/export.ts'
import { addGate } from './verbs/gate.ts'
import { addImport } from './verbs/import.ts'
import { addSummary } from './verbs/summary.ts'
import { addWatch } from './verbs/watch.ts'

const program = new Command('oddsmith')
  .description('Evaluates, compares and judges models and adapters through an Oddsmith api.')
  .addHelpText(
    'after',
    `
Environment:
  ODDSMITH_URL   where the api is (default: http://127.0.0.1:4000)
  ODDSMITH_KEY   an API key

Exit codes: 0 done, or PASS; 1 a run or gate failed; 2 a gate is undecided; 64 usage; 65 the api refused; 69 it cannot be reached;
70 it answered unexpectedly; 77 no key.`,
  )
  .configureHelp({ showGlobalOptions: true })

for (const add of [addEval, addWatch, addCompare, addGate, addSummary, addExport, addImport]) {
  const verb = add(program)
  verb.option('--json', 'one JSON value on stdout instead of text')
  // Before commander parses: a mistake is an exception here, not an exit with 1.
  verb.exitOverride()
}
program.exitOverride()

function exitOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.USAGE
  if (error instanceof Failure) {
    const issues = error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`)
    const detail = error.cause instanceof Error ? [`  ${reasonOf(error.cause)}`] : []
    const said = issues.length > 0 && error.exit === 'REFUSED' ? 'refused' : error.message
    const text = [`oddsmith: ${said}`, ...issues, ...detail].join('\n')
    const json = JSON.stringify({
      error: { exit: error.exit, message: error.message, issues: error.issues },
    })
    process.stderr.write(`${process.argv.includes('--json') ? json : text}\n`)
    return exitCodes[error.exit]
  }
  process.stderr.write(`oddsmith: ${error instanceof Error ? error.message : String(error)}\n`)
  return exitCodes.UNEXPECTED
}

/** fetch says "fetch failed"; its cause says why. */
function reasonOf(error: Error): string {
  const { cause } = error
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause
  return inner instanceof Error ? inner.message : error.message
}

// Exits when stdout is written: a subscription whose server has gone would go on trying to reconnect.
const code = await program.parseAsync().then(() => Number(process.exitCode ?? 0), exitOf)
process.stdout.write('', () => process.exit(code))
