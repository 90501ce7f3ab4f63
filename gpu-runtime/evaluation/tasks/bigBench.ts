/**
 * BIG-bench's tasks of multiple choice (Srivastava et al. 2022), as the fork of lm-evaluation-harness
 * asks them that the Nous suite is run with. Their files say what goes around a question; the answer
 * follows without a blank, for the question ends in one.
 *
 *     task_prefix              The following are multiple choice questions …
 *     example_input_prefix     ⏎Sentence:␣
 *     input                    After meeting with the producers, Sam went to his office.
 *     choices, if appended     ⏎  choice: Ambiguous⏎  choice: The office was Sam's office …
 *     example_output_prefix    ⏎Pronoun identification:␣|Ambiguous
 *
 * Several answers of a question can be right. geometric_shapes is graded by its choices alone: the fork
 * has a model write its answer as well (exact_str_match), which no average counts.
 */
import { createHash } from 'node:crypto'
import type { ChoiceScore } from '../../inference/score.ts'
import { numpyPermutation } from '../numpyRandom.ts'
import { columns } from './columns.ts'
import { argmax, type ChoiceDocument, type ChoiceTask } from './task.ts'

/** `grades` by choice: what picking it counts for. */
type Document = ChoiceDocument & { readonly grades: readonly number[] }

export const bigBench = (name: string): ChoiceTask<Document> => ({
  kind: 'multiple_choice',
  delimiter: '',
  zeroShot: true,
  document(value, row) {
    const read = columns(value, row, name)
    const choices = read.texts('choices')
    const grades = read.numbers('target_scores', choices)
    const task = read.options('task')
    const prefix = task.text('choice_prefix', '\n  choice: ')
    const listed = task.flag('append_choices_to_input', true)
      ? permuted(choices).map((choice) => prefix + choice)
      : []
    return {
      text: [
        task.text('task_prefix', ''),
        task.text('example_input_prefix', '\nQ: '),
        read.text('input'),
        ...listed,
        task.text('example_output_prefix', '\nA: '),
      ].join(''),
      choices,
      gold: indicesOf(grades, Math.max(...grades)),
      grades,
    }
  },
  judge({ grades }, scores) {
    const picked = likeliest(scores)
    return { scores: { multiple_choice_grade: grades[picked]! }, picked }
  },
})

/** In an order that says nothing of which is right, the same for every question of as many choices. */
function permuted(choices: readonly string[]): string[] {
  const sorted = choices.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return numpyPermutation(42, sorted.length).map((i) => sorted[i]!)
}

/**
 * Index of the largest. Of equals one is taken by what BIG-bench takes for chance: the sha256 of all
 * log-likelihoods, as they lie in memory in float64, modulo how many equals there are.
 */
function likeliest(scores: readonly ChoiceScore[]): number {
  const all = scores.map((s) => s.logLikelihood)
  const equals = indicesOf(all, all[argmax(all)]!)
  if (equals.length === 1) return equals[0]!
  const bytes = Buffer.alloc(8 * all.length)
  all.forEach((x, i) => bytes.writeDoubleLE(x, 8 * i))
  const hash = BigInt(`0x${createHash('sha256').update(bytes).digest('hex')}`)
  return equals[Number(hash % BigInt(equals.length))]!
}

const indicesOf = (xs: readonly number[], wanted: number): number[] =>
  xs.flatMap((x, i) => (x === wanted ? [i] : []))
