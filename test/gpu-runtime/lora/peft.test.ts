/** Adapters as PEFT stores them: read, computed with, and written again. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { FormatError } from '#gpu-runtime/error.ts'
import { readHeader, writeSafetensors } from '#gpu-runtime/files/safetensors.ts'
import { lora, sites } from '#gpu-runtime/lora/lora.ts'
import { loadAdapter, saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { decoder } from '#gpu-runtime/models/decoder.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { matmul } from '#gpu-runtime/tensor/ops.ts'
import { linears } from '#schema/spec.ts'
import { assertClose } from '../closeness.ts'
import { modelOf, readJson, readTensors } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

test('a rank-stabilized adapter of PEFT is loaded, gives PEFT’s logits, and is stored as one', async () => {
  const golden = readJson<{ adapter_config: object; logits: number[][] }>('rslora')
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const { config, weight } = checkpoint
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-adapter-'))
  try {
    const configFile = join(directory, 'adapter_config.json')
    await writeFile(configFile, JSON.stringify(golden.adapter_config))
    const matrices = [...(await readTensors('tiny'))]
      .filter(([name]) => name.startsWith('base_model.'))
      .map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data }))
    await writeSafetensors(join(directory, 'adapter_model.safetensors'), matrices, {})

    const adapter = await loadAdapter(directory, checkpoint)
    assert.equal(adapter.spec.rslora, true)
    const { parts, trainables } = lora(config, adapter.spec)
    const { hidden, head } = decoder(config, stream(config, 1), parts)
    const logits = matmul(hidden, head, { transB: true })
    const session = await engine.open(emit({ outputs: { logits }, trainables }, weight))
    await engine.write('trainables', adapter.flat.slice())
    const { ids } = readJson('tiny')
    const { feeds } = layout(config, [{ ids }], 1, 0)
    const outputs = await session.run(feeds, { resident: { trainables: 'trainables' } })
    const expected = golden.logits.flat()
    const end = ids.length * config.vocabulary
    assertClose(
      outputs.logits!.data.subarray(end - expected.length, end),
      expected,
      { rtol: 1e-4, atol: 2e-5 * Math.max(...expected.map(Math.abs)) },
      'logits',
    )
    await session.release()

    await saveAdapter(directory, checkpoint, adapter.spec, adapter.flat, 'tiny')
    assert.equal(JSON.parse(await readFile(configFile, 'utf8')).use_rslora, true)
    assert.deepEqual(await loadAdapter(directory, checkpoint), adapter)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('an adapter of PEFT that computes something else is refused, by the field that says so', async () => {
  const { adapter_config: config } = readJson<{ adapter_config: object }>('rslora')
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-adapter-'))
  try {
    for (const other of [
      { alpha_pattern: { q_proj: 4 } },
      { rank_pattern: { q_proj: 4 } },
      { layer_replication: [[0, 2]] },
      { use_dora: true },
      { bias: 'lora_only' },
      { peft_type: 'IA3' },
    ]) {
      const file = join(directory, 'adapter_config.json')
      await writeFile(file, JSON.stringify({ ...config, ...other }))
      await assert.rejects(
        loadAdapter(directory, checkpoint),
        (error) =>
          error instanceof FormatError &&
          error.message.startsWith(file) &&
          error.message.includes(Object.keys(other)[0]!),
      )
    }
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('of a model with fused linears, an adapter has PEFT’s names and keys, and is named by the spec', async () => {
  const name = 'families/phi3'
  const golden = readJson(name)
  const checkpoint = await openCheckpoint(modelOf(name))
  const { config } = checkpoint
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-adapter-'))
  try {
    const configFile = join(directory, 'adapter_config.json')
    await writeFile(configFile, JSON.stringify({ peft_type: 'LORA', ...golden.lora }))
    const peft = [...(await readTensors(name))].filter(([key]) => key.startsWith('base_model.'))
    const matrices = peft.map(([key, { shape, data }]) => ({
      name: key,
      dtype: 'F32' as const,
      shape,
      data,
    }))
    await writeSafetensors(join(directory, 'adapter_model.safetensors'), matrices, {})

    const adapter = await loadAdapter(directory, checkpoint)
    assert.deepEqual(adapter.spec.targetModules.toSorted(), linears.toSorted())
    await saveAdapter(directory, checkpoint, adapter.spec, adapter.flat, name)
    const { target_modules } = JSON.parse(await readFile(configFile, 'utf8'))
    assert.deepEqual(target_modules, golden.lora.target_modules)
    const stored = await readHeader(join(directory, 'adapter_model.safetensors'))
    assert.deepEqual([...stored.tensors.keys()].toSorted(), peft.map(([key]) => key).toSorted())

    assert.throws(() => sites(config, { targetModules: ['q_proj', 'o_proj'] }), {
      name: 'FormatError',
      message:
        'LoRA on q_proj: this model has them in one linear with k_proj, v_proj (qkv_proj); expected all of them or none',
    })
    await writeFile(
      configFile,
      JSON.stringify({ peft_type: 'LORA', ...golden.lora, target_modules: ['q_proj'] }),
    )
    await assert.rejects(loadAdapter(directory, checkpoint), {
      name: 'FormatError',
      message:
        /target_modules has "q_proj", expected some of qkv_proj, o_proj, gate_up_proj, down_proj$/,
    })
  } finally {
    await rm(directory, { recursive: true })
  }
})
