/** BIG-bench: the 18 tasks of the Nous suite, in that suite's prompts. */
import type { TaskEntry } from '../tasks.ts'

const entry = (name: string, title: string, rows: number) =>
  ({
    version: 1,
    title: `BIG-bench: ${title}`,
    kind: 'multiple_choice',
    rows: `bigbench_${name}.json`,
    examples: null,
    fewShot: 0,
    dialects: ['NOUS'],
    metrics: ['multiple_choice_grade'],
    headline: 'multiple_choice_grade',
    source: `google/BIG-bench, ${name}: ${rows} rows, each once`,
  }) as const satisfies TaskEntry

/** By what follows bigbench_ in their names: titles, and how many rows are left of those that occur twice. */
const all: Readonly<Record<string, readonly [title: string, rows: number]>> = {
  causal_judgement: ['causal judgement', 190],
  date_understanding: ['date understanding', 369],
  disambiguation_qa: ['pronoun disambiguation', 258],
  geometric_shapes: ['geometric shapes', 359],
  logical_deduction_five_objects: ['logical deduction, five objects', 500],
  logical_deduction_seven_objects: ['logical deduction, seven objects', 700],
  logical_deduction_three_objects: ['logical deduction, three objects', 300],
  movie_recommendation: ['movie recommendation', 500],
  navigate: ['navigation', 1000],
  reasoning_about_colored_objects: ['reasoning about coloured objects', 2000],
  ruin_names: ['ruined names', 448],
  salient_translation_error_detection: ['errors of translation', 998],
  snarks: ['snarks', 181],
  sports_understanding: ['sports', 986],
  temporal_sequences: ['temporal sequences', 1000],
  tracking_shuffled_objects_five_objects: ['tracking five shuffled objects', 1250],
  tracking_shuffled_objects_seven_objects: ['tracking seven shuffled objects', 1750],
  // The suite's fork has another task's file under this name: see suites.ts.
  tracking_shuffled_objects_three_objects: ['tracking three shuffled objects', 750],
}

export const bigBench: Readonly<Record<string, TaskEntry>> = Object.fromEntries(
  Object.entries(all).map(([name, [title, rows]]) => [
    `bigbench_${name}`,
    entry(name, title, rows),
  ]),
)
