/**
 * Makes the embedded model: `npm run demo:make` pretrains a tiny Llama from scratch on the demo's language with this project's
 * own engine and writes demo/zoo-334k/ (about three minutes on two cores). The same seed on the same kind of machine makes the
 * same bytes; the committed model came from here.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { Recipe } from '#schema/spec.ts'
import { toBf16 } from '#gpu-runtime/files/dtype.ts'
import { writeSafetensors } from '#gpu-runtime/files/safetensors.ts'
import { parseConfig } from '#gpu-runtime/models/config.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { pretrain } from '#gpu-runtime/training/pretrain.ts'
import { embedded } from './embedded.ts'
import { pretrainingDocument, seeded } from './language.ts'
import { tokenizerConfig, tokenizerJson } from './tokenizer.ts'

const seed = 1
const steps = 900
const documentsPerStep = 64
const directory = embedded.model

const tokenizer = tokenizerJson()
const configJson = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: Object.keys(tokenizer.model.vocab).length,
  hidden_size: 96,
  intermediate_size: 256,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: 'silu',
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  dtype: 'bfloat16',
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`

await mkdir(directory, { recursive: true })
await writeFile(`${directory}/config.json`, json(configJson))
await writeFile(`${directory}/tokenizer.json`, json(tokenizer))
await writeFile(`${directory}/tokenizer_config.json`, json(tokenizerConfig()))

const text = await openText(directory)
const random = seeded(seed)
const engine = new Engine(2)
const run = pretrain({
  config: parseConfig(configJson, 'config.json'),
  engine,
  steps,
  batch: () =>
    Array.from({ length: documentsPerStep }, () =>
      text.encode(text.render(pretrainingDocument(random), { addGenerationPrompt: false })),
    ),
  recipe: Recipe.parse({
    learningRate: 3e-3,
    schedule: 'COSINE',
    warmupSteps: 100,
    weightDecay: 0.1,
    maxGradNorm: 1,
  }),
  deviation: 0.1,
  seed,
})
for (;;) {
  const { done, value } = await run.next()
  if (done) {
    const tensors = value.map(({ name, shape, data }) => ({
      name,
      dtype: 'BF16' as const,
      shape,
      data: toBf16(data),
    }))
    await writeSafetensors(`${directory}/model.safetensors`, tensors, { format: 'pt' })
    break
  }
  if (value.step % 50 === 0)
    console.log(`step ${value.step} of ${steps}  loss ${value.loss.toFixed(4)}`)
}
await engine.close()
