/** Results and samples as lm-evaluation-harness 0.4.13 writes them, in results_*.json and samples_*.jsonl. */
import { metrics, type Metric } from '#schema/metrics.ts'
import type { EvaluationSettings } from '#schema/spec.ts'
import { suites } from '#schema/suites.ts'
import { tasks } from '#schema/tasks.ts'
import { sha256 } from '../canonical.ts'
import type { StoredSample } from './samples.ts'

/** A finished evaluation with its scores. */
export type TaskResult = {
  readonly task: string
  readonly documents: number
  readonly settings: EvaluationSettings
  readonly scores: readonly {
    readonly metric: string
    readonly value: number
    readonly standardError: number | null
  }[]
}

/** Who was scored, and when. */
export type HarnessRun = {
  readonly model: {
    readonly path: string
    readonly name: string
    readonly revision: string
    readonly parameters: number
  }
  readonly adapter: { readonly name: string; readonly sha256: string } | null
  readonly suites: readonly string[]
  readonly finishedAt: Date | null
  /** Between the run's start and end. */
  readonly seconds: number | null
}

const harnessName = (metric: string): readonly [name: string, filter: string] =>
  Object.hasOwn(metrics, metric) ? metrics[metric as Metric].harness : [metric, 'none']
const isBetterHigher = (metric: string): boolean =>
  !Object.hasOwn(metrics, metric) || metrics[metric as Metric].goal === 'MAX'

const byTask = <T>(found: readonly TaskResult[], of: (result: TaskResult) => T) =>
  Object.fromEntries(found.map((result) => [result.task, of(result)]))

/** The whole file. What only the harness knows (its git hash, environment, tokens) is null. */
export function harnessResults(run: HarnessRun, found: readonly TaskResult[]): object {
  const { model, adapter } = run
  const shared = <T>(of: (settings: EvaluationSettings) => T): T | null => {
    const values = [...new Set(found.map(({ settings }) => of(settings)))]
    return values.length === 1 ? values[0]! : null
  }
  const systemInstruction = shared((s) => s.systemInstruction)
  return {
    results: byTask(found, resultOf),
    group_subtasks: Object.fromEntries(
      run.suites.flatMap((name) =>
        (suites.get(name)?.groups ?? []).map((group) => [
          group.name,
          group.members.map(({ task }) => task),
        ]),
      ),
    ),
    configs: byTask(found, configOf),
    versions: byTask(found, ({ settings }) => settings.version),
    'n-shot': byTask(found, ({ settings }) => settings.fewShot),
    higher_is_better: byTask(found, ({ scores }) =>
      Object.fromEntries(
        scores.map(({ metric }) => [harnessName(metric)[0], isBetterHigher(metric)]),
      ),
    ),
    'n-samples': byTask(found, ({ documents, settings: { limit } }) => ({
      // How many there would be without a limit is not known.
      original: limit === null || documents < limit ? documents : null,
      effective: documents,
    })),
    config: {
      model: 'oddsmith',
      model_args: {
        pretrained: model.path,
        ...(adapter === null ? {} : { peft: adapter.name, peft_sha256: adapter.sha256 }),
      },
      model_num_parameters: model.parameters,
      model_dtype: shared((s) => s.dtype),
      model_revision: model.revision,
      model_sha: model.revision,
      batch_size: null,
      batch_sizes: [],
      device: null,
      use_cache: null,
      limit: shared((s) => s.limit),
      bootstrap_iters: null,
      gen_kwargs: null,
      random_seed: null,
      numpy_seed: null,
      torch_seed: null,
      fewshot_seed: shared((s) => s.fewShotSeed),
    },
    git_hash: null,
    date: run.finishedAt === null ? null : run.finishedAt.getTime() / 1000,
    pretty_env_info: null,
    transformers_version: null,
    lm_eval_version: null,
    upper_git_hash: null,
    tokenizer_pad_token: null,
    tokenizer_eos_token: null,
    tokenizer_bos_token: null,
    eot_token_id: null,
    max_length: null,
    task_hashes: {},
    model_source: 'oddsmith',
    model_name: adapter?.name ?? model.name,
    model_name_sanitized: (adapter?.name ?? model.name).replaceAll(/["<>:/|\\?*[\]]+/g, '__'),
    system_instruction: systemInstruction,
    system_instruction_sha: systemInstruction === null ? null : sha256(systemInstruction),
    fewshot_as_multiturn: shared((s) => s.fewShotAsMultiturn),
    chat_template: null,
    chat_template_sha: null,
    total_evaluation_time_seconds: run.seconds === null ? null : String(run.seconds),
  }
}

function resultOf({ task, documents, scores }: TaskResult) {
  const values = scores.flatMap(({ metric, value, standardError }) => {
    const [name, filter] = harnessName(metric)
    return [
      [`${name},${filter}`, value],
      [`${name}_stderr,${filter}`, standardError ?? 'N/A'],
    ]
  })
  return { name: task, alias: task, sample_len: documents, ...Object.fromEntries(values) }
}

function configOf({ task, settings, scores }: TaskResult) {
  const entry = tasks.get(task)
  return {
    task,
    dataset_path: entry?.rows ?? null,
    num_fewshot: settings.fewShot,
    output_type: entry?.kind ?? null,
    metric_list: [...new Map(scores.map((s) => [harnessName(s.metric)[0], s.metric]))].map(
      ([metric, own]) => ({ metric, higher_is_better: isBetterHigher(own) }),
    ),
    repeats: 1,
    should_decontaminate: false,
    // All that gives the scores their meaning, under our names.
    metadata: { ...settings },
  }
}

/**
 * A line a sample and filter. What was asked is there as far as it is kept, the end of the question and the beginnings of the answers.
 * Where nobody asked whether an answer was the greedy one, "None" stands for the harness' "True" or "False".
 */
export async function* harnessSamples(
  pages: AsyncIterable<readonly StoredSample[]>,
): AsyncGenerator<string> {
  for await (const page of pages)
    yield page
      .flatMap(linesOf)
      .map((line) => `${JSON.stringify(line)}\n`)
      .join('')
}

function linesOf(sample: StoredSample): object[] {
  const { document, question, answers, gold, hash, choices, response, scores } = sample
  const generated = response !== null
  const target = gold === null ? (answers[0] ?? '') : String(gold)
  const answered = generated
    ? [response]
    : choices.map(({ logLikelihood, greedy }) => [
        logLikelihood === null ? 'nan' : String(logLikelihood),
        greedy === undefined ? 'None' : greedy ? 'True' : 'False',
      ])
  const asked = generated ? [question] : answers
  const byFilter = Map.groupBy(Object.keys(scores), (metric) => harnessName(metric)[1])
  return [...byFilter].map(([filter, own]) => ({
    doc_id: document,
    doc: { question, answers },
    target,
    arguments: Object.fromEntries(
      asked.map((answer, i) => [
        `gen_args_${i}`,
        generated ? { arg_0: question } : { arg_0: question, arg_1: answer },
      ]),
    ),
    resps: generated ? [[response]] : answered.map((one) => [one]),
    filtered_resps: answered,
    filter,
    metrics: own.map((metric) => harnessName(metric)[0]),
    doc_hash: null,
    prompt_hash: hash,
    target_hash: sha256(target),
    ...Object.fromEntries(own.map((metric) => [harnessName(metric)[0], scores[metric]])),
  }))
}
