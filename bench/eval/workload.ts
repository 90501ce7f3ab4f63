/**
 * The fixed mix: tasks of lm-evaluation-harness and of the Nous suite's BIG-bench, on rows that are not part of the repository. The
 * harness's own tasks get no more than the place of their rows, so that prompts are the harness's.
 */
import { parse } from 'csv-parse/sync'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A task's configuration as the harness understands it. */
export type HarnessTask = { readonly task: string } & Readonly<Record<string, unknown>>

type Row = Readonly<Record<string, unknown>>

/** Where rows are below ODDSMITH_SHARED/data, in the columns that the harness's tasks know. */
const lines = {
  arc_easy: 'nous-normalised/arc_easy.test.jsonl',
  hellaswag: 'hellaswag/val_first500.jsonl',
  openbookqa: 'nous-normalised/openbookqa.test.jsonl',
  boolq: 'nous-normalised/boolq.validation.jsonl',
  agieval_aqua_rat: 'nous-normalised/agieval_aqua_rat.jsonl',
}
const bigbench = ['date_understanding', 'logical_deduction_five_objects']
const subject = 'college_biology'

/** Writes the first `documents` rows of each task into `folder`. */
export async function harnessTasks(
  shared: string,
  folder: string,
  documents: number,
): Promise<HarnessTask[]> {
  await mkdir(folder, { recursive: true })
  const read = (path: string) => readFile(join(shared, 'data', path), 'utf8')
  const write = async (name: string, rows: readonly Row[]) => {
    const file = join(folder, `${name}.jsonl`)
    await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    return file
  }
  const onRows = (test: string, more: object = {}) => ({
    dataset_path: 'json',
    dataset_name: null,
    dataset_kwargs: { data_files: { test, ...more } },
    training_split: null,
    validation_split: null,
    test_split: 'test',
  })

  const tasks: HarnessTask[] = []
  for (const [task, path] of Object.entries(lines)) {
    const rows = (await read(path)).split('\n').slice(0, documents)
    const parsed = rows.filter(Boolean).map((line) => JSON.parse(line) as Row)
    tasks.push({ task, ...onRows(await write(task, parsed)) })
  }
  for (const name of bigbench) {
    const rows = bigbenchRows(JSON.parse(await read(`bigbench-nous/${name}.json`)) as BigBench)
    tasks.push({
      task: `bigbench_${name}`,
      ...onRows(await write(name, rows.slice(0, documents))),
      output_type: 'multiple_choice',
      doc_to_text: 'context',
      doc_to_choice: 'choices',
      doc_to_target: 'gold',
      target_delimiter: '',
      metric_list: [{ metric: 'acc', aggregation: 'mean', higher_is_better: true }],
    })
  }
  const mmlu = async (split: string, most?: number) => {
    const rows = mmluRows(await read(`mmlu/${split}/${subject}_${split}.csv`))
    return await write(`mmlu_${split}`, rows.slice(0, most))
  }
  tasks.push({
    task: `mmlu_${subject}`,
    ...onRows(await mmlu('test', documents), { dev: await mmlu('dev') }),
    fewshot_split: 'dev',
    num_fewshot: 5,
  })
  return tasks
}

type BigBench = {
  readonly task_prefix?: string
  readonly example_input_prefix?: string
  readonly example_output_prefix?: string
  readonly examples: readonly { input: string; target_scores: Record<string, number> }[]
}

/** Those tasks of BIG-bench that do not list their choices, as the Nous suite asks them; gold is the first that scores 1. */
const bigbenchRows = ({
  task_prefix: prefix = '',
  example_input_prefix: before = '\nQ: ',
  example_output_prefix: after = '\nA: ',
  examples,
}: BigBench): Row[] =>
  examples.map(({ input, target_scores: scores }) => ({
    context: `${prefix}${before}${input}${after}`,
    choices: Object.keys(scores),
    gold: Object.values(scores).indexOf(1),
  }))

const mmluRows = (csv: string): Row[] =>
  (parse(csv, { columns: true }) as Record<string, string>[]).map((row) => ({
    question: row['question'],
    choices: [0, 1, 2, 3].map((i) => row[`choice${i}`]),
    answer: Number(row['answer']),
  }))
