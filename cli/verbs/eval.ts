/** oddsmith eval: scores a model or an adapter. */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { expectType, problemFields, type Client } from '../client.ts'
import { connectByEnvironment } from '../config.ts'
import { Failure } from '../exit.ts'
import { expectSuccess, follow } from '../follow.ts'
import { bare, list, wholeFrom } from '../options.ts'
import { print, table, type Common } from '../output.ts'
import { readRules } from '../rules.ts'
import { findSubject } from '../subject.ts'
import { judgedFields, verdictExits, verdictText, type Judged } from '../verdict.ts'

type Options = Common & {
  readonly model?: string
  readonly adapter?: string
  readonly task?: readonly string[]
  readonly suite?: readonly string[]
  readonly limit?: number
  readonly fewShot?: number
  readonly fewShotSeed?: number
  readonly chatTemplate?: boolean
  readonly multiturn?: boolean
  readonly systemInstruction?: string
  readonly dialect?: string
  readonly bos?: string
  readonly nf4?: boolean
  readonly shards?: number
  readonly priority?: number
  readonly name?: string
  readonly key?: string
  readonly gate?: string
  readonly wait?: boolean
}

export const addEval = (program: Command): Command =>
  program
    .command('eval')
    .description('score a model or an adapter on tasks and suites')
    .option(
      '--model <dir>',
      'a model in Hugging Face layout, merged or not, inside the roots of the api',
    )
    .option('--adapter <id or name>', 'an adapter on its base model')
    .option('--task <name>', 'a task; again, or with commas, for more', list)
    .option('--suite <name>', 'a suite, such as nous; again, or with commas, for more', list)
    .option('--limit <n>', 'first documents of each task only', wholeFrom(1))
    .option('--few-shot <n>', 'solved examples before each question', wholeFrom(0))
    .option('--few-shot-seed <n>', 'the seed that examples are drawn with', wholeFrom(0))
    .option('--chat-template', "ask in the model's chat template")
    .option('--no-multiturn', 'examples as one text, not as turns; with --chat-template')
    .option('--system-instruction <text>', 'what is said before everything')
    .option('--dialect <name>', 'LM_EVAL or NOUS; of tasks')
    .option('--bos <when>', 'TOKENIZER, ALWAYS or NEVER; of tasks')
    .option('--nf4', 'hold the base model in four bits')
    .option('--shards <n>', 'spread the documents over so many runs', wholeFrom(1))
    .option('--priority <n>', 'higher ones start first', Number)
    .option('--name <name>', 'what people will call the run')
    .option('--key <text>', 'idempotency key: the same key and input are the same run')
    .option(
      '--gate <file>',
      'rules (as of the verb gate) for the adapter against its base model, which is scored too',
    )
    .option(
      '--wait',
      'follow the run on stderr, then print its scores; with --gate its verdict is the exit code',
    )
    .action(evaluate)

async function evaluate(options: Options): Promise<void> {
  const { model, adapter, task = [], suite = [], wait = false } = options
  if (task.length + suite.length === 0)
    throw new Failure('USAGE', 'expected at least one --task or --suite')
  if (model === undefined && adapter === undefined)
    throw new Failure('USAGE', 'expected --model or --adapter')
  const rules = options.gate === undefined ? null : await readRules(options.gate)
  const client = connectByEnvironment(process.env)
  const ref = adapter === undefined ? null : await findSubject(client, adapter)
  if (ref !== null && !('adapterId' in ref))
    throw new Failure('REFUSED', `expected an adapter, got the model ${adapter}`)
  const { limit, fewShot, fewShotSeed, chatTemplate, multiturn, systemInstruction } = options
  const asking = {
    limit,
    fewShot,
    fewShotSeed,
    chatTemplate,
    ...(multiturn === false ? { fewShotAsMultiturn: false } : {}),
    systemInstruction,
  }
  const { dialect, bos, shards, priority, name, key = randomUUID(), nf4 } = options
  const { evaluate: answer } = await client.query<{ evaluate: { __typename: string } }>(
    `mutation ($input: EvaluateInput!) { evaluate(input: $input) { __typename ... on Run { id name status } ${problemFields} } }`,
    {
      input: {
        idempotencyKey: key,
        name,
        ...(model === undefined ? {} : { model: { path: resolve(model) } }),
        ...ref,
        tasks: task.map((one) => ({ task: one, dialect, bos, ...asking })),
        suites: suite.map((one) => ({ suite: one, ...asking })),
        quantization: nf4 ? 'NF4' : undefined,
        shards,
        priority,
        gate: rules,
      },
    },
  )
  const run = expectType<{ __typename: string; id: string; name: string; status: string }>(
    answer as never,
    'Run',
  )
  if (!wait) {
    const { id, name: called, status } = run
    print(options, { id, name: called, status }, () => `${id}  ${called}  ${status}`)
    return
  }
  process.stderr.write(`${run.id}  ${run.name}\n`)
  const ended = await follow(client, run.id)
  expectSuccess(ended)
  const scores = await scoresOf(client, run.id)
  const judged = rules === null ? null : await gateOf(client, run.id)
  print(options, { ...ended, scores, gate: judged }, () => {
    const text = table(
      ['task', 'metric', 'value', 'stderr', 'n'],
      scores.map(({ task: of, metric, value, standardError, n }) => [
        of,
        metric,
        value.toFixed(4),
        standardError === null ? '' : `± ${standardError.toFixed(4)}`,
        String(n),
      ]),
      2,
    )
    return judged === null ? text : `${text}\n\n${verdictText(judged, rules!)}`
  })
  if (judged !== null) process.exitCode = verdictExits[judged.verdict]
}

async function gateOf(client: Client, id: string): Promise<Judged> {
  const { run } = await client.query<{ run: { gateResult: Judged | null } }>(
    `query ($id: ID!) { run(id: $id) { gateResult { ${judgedFields} } } }`,
    { id },
  )
  if (run.gateResult === null) throw new Failure('UNEXPECTED', `run ${id} has no verdict`)
  return run.gateResult
}

type Score = {
  readonly task: string
  readonly metric: string
  readonly value: number
  readonly standardError: number | null
  readonly n: number
}

/** Also those that another run had scored before, which this one took over. */
async function scoresOf(client: Client, id: string): Promise<Score[]> {
  const { results } = (await (
    await client.download(`/exports/runs/${bare(id)}/results.json`)
  ).json()) as { results: Record<string, Record<string, unknown>> }
  return Object.entries(results).flatMap(([task, result]) =>
    Object.entries(result).flatMap(([name, value]) => {
      const [metric, filter] = name.split(',') as [string, string?]
      if (filter === undefined || metric.endsWith('_stderr')) return []
      const error = result[`${metric}_stderr,${filter}`]
      return {
        task,
        metric: filter === 'none' ? metric : name,
        value: value as number,
        standardError: typeof error === 'number' ? error : null,
        n: result['sample_len'] as number,
      }
    }),
  )
}
