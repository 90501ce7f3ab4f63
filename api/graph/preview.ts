/** taskPreview: the exact requests that a model would see, before anything is computed. */
import type { Preview, PreviewDocument } from '#schema/protocol.ts'
import { Conflict, InvalidInput, LimitExceeded, NotFound } from '../problem.ts'
import { previewTask } from '../runs/inspect.ts'
import { builder } from './builder.ts'
import { rowId } from './id.ts'
import { EvaluateTaskInput } from './task.ts'
import { ModelInput } from './train.ts'

const member = { member: true }

const Request = builder.objectRef<PreviewDocument['requests'][number]>('PreviewRequest').implement({
  description: 'One thing that a model is asked.',
  authScopes: member,
  fields: (t) => ({
    context: t.exposeString('context', {
      nullable: true,
      description: 'What it reads, character by character; null where a whole text is scored.',
    }),
    continuation: t.exposeString('continuation', {
      nullable: true,
      description: 'What is scored behind it; null where a response is written.',
    }),
    contextTokens: t.exposeIntList('contextTokens', {
      description: 'The context in token ids, as it is fed: with BOS, and less what does not fit.',
    }),
    continuationTokens: t.exposeIntList('continuationTokens', {
      description: 'The token ids whose log-likelihoods are summed.',
    }),
  }),
})

const Document = builder.objectRef<PreviewDocument>('PreviewDocument').implement({
  description: 'A document as it is asked.',
  authScopes: member,
  fields: (t) => ({
    document: t.exposeInt('document', { description: "The row of the task's file, from 0." }),
    hash: t.exposeString('hash', { description: 'Hash of its rendered requests.' }),
    requests: t.expose('requests', {
      type: [Request],
      description: 'One for each choice, or one.',
    }),
    until: t.exposeStringList('until', { description: 'Texts that end a response.' }),
    maxTokens: t.exposeInt('maxTokens', {
      nullable: true,
      description: 'Tokens that a response may have; null where none is written.',
    }),
    gold: t.exposeInt('gold', {
      nullable: true,
      description: 'Which choice is right, from 0; null where there is no choice.',
    }),
    answers: t.exposeStringList('answers', {
      description: 'The beginnings of the choices, or of the expected answer.',
    }),
  }),
})

const PreviewType = builder.objectRef<Preview>('TaskPreview').implement({
  description: 'What a model would be asked.',
  authScopes: member,
  fields: (t) => ({
    documents: t.exposeInt('documents', { description: 'How many documents there are in all.' }),
    promptHash: t.exposeString('promptHash', {
      description: 'Hash of all rendered prompts, as it is stored with every result.',
    }),
    shown: t.expose('shown', { type: [Document], description: 'Those that were asked for.' }),
  }),
})

builder.queryField('taskPreview', (t) =>
  t.withAuth(member).field({
    type: PreviewType,
    description:
      'The exact requests that a model, or an adapter on it, would see. A runtime with its tokenizer makes them, in seconds; what was looked at before is answered at once.',
    args: {
      model: t.arg({ type: ModelInput, description: 'The base model.' }),
      adapterId: t.arg.id({ description: 'An adapter, instead of a model.' }),
      task: t.arg({ type: EvaluateTaskInput, required: true, description: 'The task, and how.' }),
      after: t.arg.int({ description: 'Documents passed over. Default: 0.' }),
      first: t.arg.int({ description: 'Documents shown, at most 50. Default: 3.' }),
    },
    errors: {
      types: [InvalidInput, NotFound, Conflict, LimitExceeded],
      union: { name: 'TaskPreviewResult', description: 'What taskPreview answers.' },
      directResult: true,
    },
    resolve: (_root, { adapterId, ...asked }, ctx) =>
      previewTask(ctx, ctx.caller, {
        ...asked,
        ...(adapterId == null ? {} : { adapterId: rowId('Adapter', adapterId) }),
      }),
  }),
)
