/** BIG-bench: the 18 tasks of the Nous suite, in that suite's prompts. */
import { sources } from '../sources.ts'
import type { TaskEntry } from '../tasks.ts'

const entry = (name: string, title: string) =>
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
    source: `google/BIG-bench, ${name}: ${sources.get(`bigbench_${name}/default`)!.rows} rows, each once`,
  }) as const satisfies TaskEntry

/** Titles by what follows bigbench_ in a task's name. */
const titles: Readonly<Record<string, string>> = {
  causal_judgement: 'causal judgement',
  date_understanding: 'date understanding',
  disambiguation_qa: 'pronoun disambiguation',
  geometric_shapes: 'geometric shapes, by its choices',
  logical_deduction_five_objects: 'logical deduction, five objects',
  logical_deduction_seven_objects: 'logical deduction, seven objects',
  logical_deduction_three_objects: 'logical deduction, three objects',
  movie_recommendation: 'movie recommendation',
  navigate: 'navigation',
  reasoning_about_colored_objects: 'reasoning about coloured objects',
  ruin_names: 'ruined names',
  salient_translation_error_detection: 'errors of translation',
  snarks: 'snarks',
  sports_understanding: 'sports',
  temporal_sequences: 'temporal sequences',
  tracking_shuffled_objects_five_objects: 'tracking five shuffled objects',
  tracking_shuffled_objects_seven_objects: 'tracking seven shuffled objects',
  // The suite's fork has another task's file under this name: see suites.ts.
  tracking_shuffled_objects_three_objects: 'tracking three shuffled objects',
}

export const bigBench: Readonly<Record<string, TaskEntry>> = Object.fromEntries(
  Object.entries(titles).map(([name, title]) => [`bigbench_${name}`, entry(name, title)]),
)
