/** Tasks that a run declares for itself. */
import { customMetrics, type CustomTask } from '#schema/customTask.ts'
import { builder } from './builder.ts'
import { Bos } from './task.ts'

const metricsOf = (kind: CustomTask['kind']) => `Measures ${customMetrics[kind].join(', ')}.`

const Kind = builder.enumType('CustomTaskKind', {
  description: 'How a task that a run declares is answered.',
  values: {
    MULTIPLE_CHOICE: {
      description: `By the likeliest of several choices. ${metricsOf('MULTIPLE_CHOICE')}`,
    },
    GENERATE: {
      description: `By writing, greedily, compared with the target. ${metricsOf('GENERATE')}`,
    },
    PERPLEXITY: { description: `A text is scored as a whole. ${metricsOf('PERPLEXITY')}` },
    PREFERENCE: {
      description: `Rows as training reads them: is the chosen answer likelier than the rejected one, in the model's chat template. ${metricsOf('PREFERENCE')}`,
    },
  } satisfies Record<CustomTask['kind'], object>,
})

const Take = builder.enumType('MatchTake', {
  description: 'Which of several matches.',
  values: { FIRST: { description: 'The first.' }, LAST: { description: 'The last.' } },
})

const MatchInput = builder.inputType('MatchInput', {
  description: 'What of a response is compared with the target.',
  fields: (t) => ({
    regex: t.string({
      required: true,
      description: "In RE2's syntax: Python's without lookaround and backreferences.",
    }),
    group: t.int({
      description:
        'The group that counts, 0 for the whole. Default: the first that matched something, the whole where there are none.',
    }),
    take: t.field({ type: Take, description: 'Default: FIRST.' }),
  }),
})

const HubDatasetInput = builder.inputType('HubDatasetInput', {
  description: 'A split of a dataset on the Hub.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'owner/name.' }),
    config: t.string({ description: 'Its configuration; left out where it has one.' }),
    split: t.string({ description: 'Default: test.' }),
    revision: t.string({
      description: 'A commit. Default: the one that was found when it was first asked for.',
    }),
  }),
})

const template = 'Jinja over the columns of a row, or the name of a column.'

export const CustomTaskInput = builder.inputType('CustomTaskInput', {
  description: "A task of one's own, declared as lm-evaluation-harness' YAML does.",
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'Small letters, digits and _; none that `tasks` lists.',
    }),
    kind: t.field({ type: Kind, required: true, description: 'How it is answered.' }),
    rows: t.string({ description: 'A file of rows, inside the allowed folders.' }),
    dataset: t.field({ type: HubDatasetInput, description: 'The rows, where there is no file.' }),
    text: t.string({ description: `The question, or the text to score. ${template}` }),
    choices: t.stringList({
      description:
        'One: the column that has them all (choices, choices.text). Several: a template for each.',
    }),
    target: t.string({
      description: `The right answer: of choices its index from 0, its text or its letter. ${template}`,
    }),
    delimiter: t.string({ description: 'Between question and answer. Default: a blank.' }),
    description: t.string({ description: 'Before everything. Default: nothing.' }),
    until: t.stringList({ description: 'Texts that end a response. Default: an empty line.' }),
    maxTokens: t.int({ description: 'Tokens of a response, at most 8192. Default: 256.' }),
    match: t.field({
      type: MatchInput,
      description: 'What of a response counts. Default: all of it but space at its ends.',
    }),
    ignoreCase: t.boolean({
      description: 'Whether small and capital letters are the same. Default: false.',
    }),
    limit: t.int({ description: 'Only so many rows from the beginning. Default: all.' }),
    examples: t.string({
      description: 'A file of solved examples with the same columns, inside the allowed folders.',
    }),
    fewShot: t.int({
      description: 'Solved examples before each question, at most 100. Default: 0.',
    }),
    fewShotSeed: t.float({ description: 'Where they are drawn by chance. Default: 1234.' }),
    chatTemplate: t.boolean({
      description: "Ask in the model's chat template. Default: false.",
    }),
    fewShotAsMultiturn: t.boolean({
      description: 'Examples as turns of their own. Default: true with the chat template.',
    }),
    systemInstruction: t.string({ description: 'Goes before everything.' }),
    bos: t.field({ type: Bos, description: 'Whether BOS goes first. Default: TOKENIZER.' }),
  }),
})
