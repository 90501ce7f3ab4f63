/** oddsmith gate: may a candidate take its baseline's place? The exit code says so: 0 PASS, 1 FAIL, 2 UNDECIDED. */
import type { Command } from 'commander'
import { expectType, problemFields } from '../client.ts'
import { findComparison } from '../comparison.ts'
import { connectByEnvironment } from '../config.ts'
import { Failure } from '../exit.ts'
import { list, real } from '../options.ts'
import { print, type Common } from '../output.ts'
import { readRules, rulesOf, type RuleFlags } from '../rules.ts'
import { judgedFields, verdictExits, verdictText, type Judged } from '../verdict.ts'

type Options = Common &
  RuleFlags & {
    readonly baseline?: string
    readonly candidate?: string
    readonly rules?: string
  }

export const addGate = (program: Command): Command =>
  program
    .command('gate [comparison]')
    .description('judge a comparison by rules; exits with 0 for PASS, 1 for FAIL, 2 for UNDECIDED')
    .option('--baseline <id or name>', 'the zero line: a model or an adapter')
    .option('--candidate <id or name>', 'what is to be better')
    .option('--rules <file>', 'rules in JSON or YAML: { rules: [{ kind, margin, task }], adjust }')
    .option('--superior <margin>', 'the candidate is better by more than this', real)
    .option('--not-inferior <margin>', 'the candidate is not worse by more than this', real)
    .option('--alpha <p>', 'one-sided probability of a wrong verdict (default: 0.05)', real)
    .option('--task <name>', 'a rule for this task; again, or with commas, for more', list)
    .option('--suite <name>', "a rule for this suite's value")
    .option('--metric <name>', "default: each task's headline")
    .option('--holm', 'verdicts hold for all rules at once')
    .action(judge)

async function judge(comparison: string | undefined, options: Options): Promise<void> {
  const { rules: file, superior, notInferior } = options
  if (file !== undefined && (superior !== undefined || notInferior !== undefined))
    throw new Failure('USAGE', 'expected rules in a file or as options, got both')
  const rules = file === undefined ? rulesOf(options) : await readRules(file)
  if (rules.sequential === true)
    throw new Failure(
      'USAGE',
      'expected sequential with eval --gate only: what is compared here has been scored',
    )
  const client = connectByEnvironment(process.env)
  const { baseline, candidate } = options
  const { id } = await findComparison(client, {
    comparison,
    ...(baseline === undefined ? {} : { baseline }),
    ...(candidate === undefined ? {} : { candidate }),
  })
  const { gate } = await client.query<{ gate: { __typename: string } }>(
    `query ($comparison: ID!, $rules: [GateRuleInput!]!, $adjust: Adjustment) {
       gate(comparison: $comparison, rules: $rules, adjust: $adjust) {
         __typename
         ... on Gate { ${judgedFields} }
         ${problemFields}
       } }`,
    { comparison: id, ...rules },
  )
  const judged = expectType<Judged & { __typename: string }>(gate as never, 'Gate')
  print(options, { comparison: id, verdict: judged.verdict, judgements: judged.judgements }, () =>
    verdictText(judged, rules),
  )
  process.exitCode = verdictExits[judged.verdict]
}
