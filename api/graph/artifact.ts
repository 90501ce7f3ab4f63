/** Files that runs made. */
import { builder } from './builder.ts'

const ArtifactKind = builder.enumType('ArtifactKind', {
  description: 'What a file is part of.',
  values: {
    ADAPTER: {
      description:
        "The trained adapter, in PEFT's layout; where it brings a chat format, with the tokenizer.",
    },
    CHECKPOINT: { description: 'Where an interrupted training goes on from.' },
  },
})

builder.drizzleNode('artifacts', {
  name: 'Artifact',
  description: 'A stored file of a run, or of an imported adapter.',
  id: { column: (artifact) => artifact.id, description: 'Artifact:<uuid>.' },
  authScopes: { member: true },
  fields: (t) => ({
    run: t.relation('run', {
      nullable: true,
      description: 'The run that made it; null for a file of an imported adapter.',
    }),
    kind: t.expose('kind', { type: ArtifactKind, description: 'What it is part of.' }),
    name: t.exposeString('name', {
      description: 'Its file name, such as adapter_model.safetensors.',
    }),
    step: t.exposeInt('step', {
      nullable: true,
      description: 'The optimizer step of a checkpoint.',
    }),
    attempt: t.exposeInt('attempt', { description: 'The attempt that made it; 0 for an import.' }),
    sha256: t.exposeString('sha256', { description: 'Hash of its bytes.' }),
    bytes: t.exposeFloat('bytes', { description: 'Its size; a whole number.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was stored.' }),
  }),
})
