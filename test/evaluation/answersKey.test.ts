/** Samples are copied only where every ingredient is the same. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { answersKey, sampleKey, type Answering } from '#api/evaluation/answersKey.ts'
import { EvaluationSettings } from '#schema/spec.ts'

const settings = EvaluationSettings.parse({
  task: 'arc_easy',
  version: 1,
  limit: 100,
  rowsSha256: 'a'.repeat(64),
  dialect: 'LM_EVAL',
  dtype: 'FLOAT32',
})
const weights = { name: 'adapter_model.safetensors', sha256: 'b'.repeat(64) }
const config = { name: 'adapter_config.json', sha256: 'c'.repeat(64) }
const asked = { modelRevision: 'd'.repeat(64), adapter: [weights, config], settings }
const content = 'e'.repeat(64)
const keyOf = (answering: Answering, document = content) =>
  sampleKey(answersKey(answering), document)
const with_ = (more: Partial<EvaluationSettings>) => ({
  ...asked,
  settings: { ...settings, ...more },
})

test('a change of any ingredient misses', () => {
  const changed: Readonly<Record<string, string>> = {
    model: keyOf({ ...asked, modelRevision: 'f'.repeat(64) }),
    'no adapter': keyOf({ ...asked, adapter: null }),
    'adapter weights': keyOf({ ...asked, adapter: [{ ...weights, sha256: '0' }, config] }),
    'rank or scale': keyOf({ ...asked, adapter: [weights, { ...config, sha256: '0' }] }),
    tokenizer: keyOf({
      ...asked,
      adapter: [weights, config, { name: 'tokenizer.json', sha256: '0' }],
    }),
    task: keyOf(with_({ task: 'arc_challenge' })),
    version: keyOf(with_({ version: 2 })),
    dialect: keyOf(with_({ dialect: 'NOUS' })),
    bos: keyOf(with_({ bos: 'ALWAYS' })),
    dtype: keyOf(with_({ dtype: 'BFLOAT16' })),
    document: keyOf(asked, '0'.repeat(64)),
  }
  assert.equal(new Set([keyOf(asked), ...Object.values(changed)]).size, 12)
})

test('what only says which documents are asked, or is spelt out in their requests, makes no difference', () => {
  const same: Partial<EvaluationSettings>[] = [
    { limit: null },
    { rowsSha256: '1'.repeat(64) },
    { fewShot: 5, fewShotSeed: 1, examplesSha256: '2'.repeat(64) },
    { chatTemplate: true, fewShotAsMultiturn: true, systemInstruction: 'Be brief.' },
  ]
  for (const more of same) assert.equal(keyOf(with_(more)), keyOf(asked), JSON.stringify(more))
  assert.equal(keyOf({ ...asked, adapter: [config, weights] }), keyOf(asked))
  // Every setting is in one of the two tests: a new one has to be thought about.
  const named = [...same.flatMap(Object.keys), 'task', 'version', 'dialect', 'bos', 'dtype']
  assert.deepEqual(named.toSorted(), Object.keys(settings).toSorted())
})
