import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { openModel } from '#gpu-runtime/files/modelDirectory.ts'
import { readTensor, writeSafetensors } from '#gpu-runtime/files/safetensors.ts'
import { directoryOf } from './directory.ts'

const index = 'model.safetensors.index.json'
const one = (name: string, value: number) => [
  { name, dtype: 'F32', shape: [1], data: Float32Array.of(value) } as const,
]

test('weights are found in one file or in the shards that the index names', async (t) => {
  const weight_map = {
    a: 'model-00001-of-00002.safetensors',
    b: 'model-00002-of-00002.safetensors',
  }
  const directory = await directoryOf(t, {
    'config.json': { model_type: 'llama' },
    [index]: { metadata: {}, weight_map },
  })
  await writeSafetensors(join(directory, weight_map.a), one('a', 1))
  await writeSafetensors(join(directory, weight_map.b), one('b', 2))
  const sharded = await openModel(directory)
  assert.deepEqual(sharded.config, { model_type: 'llama' })
  assert.deepEqual([...(await readTensor(sharded.tensors.get('b')!))], [2])

  await writeSafetensors(join(directory, 'model.safetensors'), one('c', 3))
  const single = await openModel(directory) // as transformers: the single file first
  assert.deepEqual([...single.tensors.keys()], ['c'])
})

test('a directory in two shards has the golden model whole', async () => {
  const { tensors } = await openModel(join(import.meta.dirname, '../../golden/tiny-llama3'))
  assert.equal(new Set([...tensors.values()].map((tensor) => tensor.file)).size, 2)
  assert.deepEqual(tensors.get('model.embed_tokens.weight')!.shape, [80, 48]) // its config.json
})

const config = { 'config.json': {} }
const broken: [name: string, files: Record<string, unknown>, message: RegExp][] = [
  ['no config.json', {}, /no config.json; expected a model in Hugging Face layout/],
  ['a config.json that is not JSON', { 'config.json': '{' }, /config.json: not JSON/],
  ['no weights', config, /expected model.safetensors or model.safetensors.index.json$/],
  [
    'weights in another format',
    { ...config, 'pytorch_model.bin': 'x' },
    /expected model.safetensors or .*; found pytorch_model.bin/,
  ],
  ['an index that is not JSON', { ...config, [index]: '{"weight_map": {' }, /index.json: not JSON/],
  ['an index without weight_map', { ...config, [index]: {} }, /expected an object "weight_map"/],
  [
    'a missing shard',
    { ...config, [index]: { weight_map: { a: 'gone.safetensors' } } },
    /names .*gone.safetensors, which is missing; is the download complete/,
  ],
  [
    'a shard above the directory',
    { ...config, [index]: { weight_map: { a: '../x.safetensors' } } },
    /tensor "a" is in "..\/x.safetensors", expected a file beside the index/,
  ],
  [
    'a shard with an absolute path',
    { ...config, [index]: { weight_map: { a: '/etc/passwd' } } },
    /expected a file beside the index/,
  ],
  [
    'a shard that is no name',
    { ...config, [index]: { weight_map: { a: 1 } } },
    /tensor "a" is in 1, expected a file beside the index/,
  ],
  [
    'a shard that is cut short',
    { ...config, [index]: { weight_map: { a: 's' } }, s: new Uint8Array(4) },
    /4 bytes, expected at least the 8/,
  ],
]
for (const [name, files, message] of broken)
  test(`${name} is refused`, async (t) => {
    await assert.rejects(openModel(await directoryOf(t, files)), { name: 'FormatError', message })
  })

test('a tensor that its shard does not have is refused', async (t) => {
  const directory = await directoryOf(t, { ...config, [index]: { weight_map: { a: 's', b: 's' } } })
  await writeSafetensors(join(directory, 's'), one('a', 1))
  await assert.rejects(openModel(directory), {
    name: 'FormatError',
    message: /tensor "b" is not in s/,
  })
})

test('a path that is no directory is refused', async (t) => {
  const directory = await directoryOf(t, { file: 'x' })
  await assert.rejects(openModel(join(directory, 'none')), {
    name: 'FormatError',
    message: /no such directory/,
  })
  await assert.rejects(openModel(join(directory, 'file')), {
    name: 'FormatError',
    message: /got a file/,
  })
})
