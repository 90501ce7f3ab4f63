import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { parseConfig } from '#gpu-runtime/models/config.ts'
import { inverseFrequencies } from '#gpu-runtime/models/rope.ts'

type Reference = { frequencies: Record<string, { config: object; inverse: number[] }> }
const { frequencies } = JSON.parse(
  await readFile(join(import.meta.dirname, '../reference.json'), 'utf8'),
) as Reference

const least = {
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
}

test('absent fields have the defaults of transformers, and head_dim is derived', () => {
  assert.deepEqual(parseConfig(least, 'config.json'), {
    layers: 2,
    hidden: 64,
    heads: 4,
    kvHeads: 4,
    headDim: 16,
    intermediate: 128,
    activation: 'silu',
    vocabulary: 100,
    addedTokens: 0,
    normEpsilon: 1e-6,
    ropes: [{ width: 16, theta: 10_000, scaling: null }],
    tiedHead: false,
    maxPositions: 2048,
    bosId: null,
    eosIds: [],
    windows: [null, null],
    turns: [0, 0],
    fused: {},
    biases: [],
    queryKeyNorm: 'none',
    norms: 'before',
    normOffset: 0,
    attentionScale: 0.25,
    attentionCap: null,
    embeddingScale: 1,
    residualScale: 1,
    logitScale: 1,
    logitCap: null,
  })
})

test('the old and the new form of rotary settings mean the same', () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  }
  const forms = [
    { rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...scaling } },
    { rope_theta: 5e5, rope_scaling: { type: 'llama3', ...scaling } },
    { rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...scaling } },
  ].map((rope) => parseConfig({ ...least, ...rope }, 'config.json').ropes[0])
  const expected = {
    width: 16,
    theta: 5e5,
    scaling: {
      type: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 8192,
    },
  }
  for (const rope of forms) assert.deepEqual(rope, expected)
  const plain = [
    { rope_theta: 1e5, rope_scaling: null },
    { rope_parameters: { rope_theta: 1e5, rope_type: 'default' } },
  ]
  for (const rope of plain)
    assert.deepEqual(parseConfig({ ...least, ...rope }, '').ropes[0], {
      width: 16,
      theta: 1e5,
      scaling: null,
    })
})

test('ids of BOS and EOS are read as a number, a list, or null', () => {
  const ids = (fields: object) => {
    const { bosId, eosIds } = parseConfig({ ...least, ...fields }, '')
    return [bosId, eosIds]
  }
  assert.deepEqual(ids({ bos_token_id: 1, eos_token_id: 2 }), [1, [2]])
  assert.deepEqual(ids({ bos_token_id: null, eos_token_id: [7, 8] }), [null, [7, 8]])
})

// As the configuration classes of transformers 5.24 fill them in.
const sliding = { use_sliding_window: true, sliding_window: 7 }
const windows: [fields: object, expected: (number | null)[]][] = [
  [{ model_type: 'llama', sliding_window: 7 }, [null, null]],
  [{ model_type: 'mistral', num_key_value_heads: 2 }, [4096, 4096]],
  [{ model_type: 'mistral', num_key_value_heads: 2, sliding_window: null }, [null, null]],
  [{ model_type: 'qwen2', num_key_value_heads: 2, sliding_window: 7 }, [null, null]],
  [{ model_type: 'qwen2', num_key_value_heads: 2, ...sliding }, [null, null]],
  [{ model_type: 'qwen3', num_key_value_heads: 2, ...sliding, max_window_layers: 1 }, [null, 7]],
  [
    {
      model_type: 'qwen2',
      num_key_value_heads: 2,
      ...sliding,
      layer_types: ['sliding_attention', 'full_attention'],
    },
    [7, null],
  ],
  [{ model_type: 'smollm3', ...sliding, no_rope_layer_interval: 2 }, [null, 7]],
  [{ model_type: 'gemma2' }, [4096, null]],
  [{ model_type: 'gemma3_text', sliding_window: 7 }, [7, 7]],
  [
    {
      model_type: 'gemma3_text',
      sliding_window: 7,
      layer_types: ['full_attention', 'sliding_attention'],
    },
    [null, 7],
  ],
]
for (const [fields, expected] of windows)
  test(`windows are ${JSON.stringify(expected)} for ${JSON.stringify(fields)}`, () => {
    assert.deepEqual(parseConfig({ ...least, ...fields }, '').windows, expected)
  })

test('Gemma 3 has a global and a local rotary embedding, in the old and the new form', () => {
  const theta = (fields: object) =>
    parseConfig({ ...least, model_type: 'gemma3_text', ...fields }, '').ropes.map((r) => r.theta)
  assert.deepEqual(theta({}), [1e6, 1e4])
  assert.deepEqual(theta({ rope_theta: 5e5, rope_local_base_freq: 100 }), [5e5, 100])
  const full_attention = { rope_type: 'default', rope_theta: 2e6 }
  assert.deepEqual(theta({ rope_parameters: { full_attention } }), [2e6, 1e4])
  const sliding_attention = { rope_type: 'default', rope_theta: 300 }
  assert.deepEqual(theta({ rope_parameters: { full_attention, sliding_attention } }), [2e6, 300])
})

test('Gemma 2 caps scores and logits unless it says null', () => {
  const caps = (fields: object) => {
    const { attentionCap, logitCap } = parseConfig(
      { ...least, model_type: 'gemma2', ...fields },
      '',
    )
    return [attentionCap, logitCap]
  }
  assert.deepEqual(caps({}), [50, 30])
  assert.deepEqual(caps({ attn_logit_softcapping: null, final_logit_softcapping: 9 }), [null, 9])
})

test('every fourth layer of a SmolLM3 turns nothing, unless it says otherwise', () => {
  const turns = (fields: object) =>
    parseConfig({ ...least, model_type: 'smollm3', num_hidden_layers: 5, ...fields }, '').turns
  assert.deepEqual(turns({}), [0, 0, 0, null, 0])
  assert.deepEqual(turns({ no_rope_layers: [0, 1, 1, 0, 0] }), [null, 0, 0, null, null])
})

test('an absent number of key heads is that of the family, null as many as heads', () => {
  const kvHeads = (fields: object) =>
    parseConfig({ ...least, num_attention_heads: 16, ...fields }, '').kvHeads
  assert.equal(kvHeads({ model_type: 'mistral' }), 8)
  assert.equal(kvHeads({ model_type: 'mistral', num_key_value_heads: null }), 16)
  assert.equal(kvHeads({ model_type: 'smollm3' }), 4)
  assert.equal(kvHeads({ model_type: 'olmo2' }), 16)
})

for (const [name, { config, inverse }] of Object.entries(frequencies))
  test(`inverse frequencies equal those of transformers: ${name}`, () => {
    // float32 there: theta ** x and the blend are each rounded
    const ours = inverseFrequencies(parseConfig(config, name).ropes[0]!)
    assert.equal(ours.length, inverse.length)
    for (const [i, expected] of inverse.entries())
      assert.ok(
        Math.abs(ours[i]! - expected) <= 2e-6 * expected,
        `${i}: ${ours[i]} for ${expected}`,
      )
  })

const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 }
const refused: [fields: object | null, message: RegExp][] = [
  [null, /^config.json: expected a JSON object/],
  [{ model_type: 'mamba' }, /model_type is "mamba", expected one of llama/],
  [{ model_type: undefined }, /model_type is missing, expected one of llama/],
  [{ hidden_size: undefined }, /hidden_size is missing, expected a positive integer/],
  [{ num_hidden_layers: '2' }, /num_hidden_layers is "2", expected a positive integer/],
  [{ vocab_size: 0 }, /vocab_size is 0, expected a positive integer/],
  [{ num_attention_heads: 5 }, /hidden_size 64 is not a multiple of num_attention_heads 5/],
  [{ num_key_value_heads: 3 }, /num_attention_heads 4 is not a multiple of num_key_value_heads 3/],
  [{ head_dim: 7 }, /head_dim is 7, expected an even number/],
  [{ rms_norm_eps: -1 }, /rms_norm_eps is -1, expected a positive number/],
  [{ tie_word_embeddings: 'yes' }, /tie_word_embeddings is "yes", expected true or false/],
  [{ attention_bias: 1 }, /attention_bias is 1, expected true or false/],
  [{ hidden_act: 'gelu' }, /hidden_act is "gelu", expected "silu" or "gelu_pytorch_tanh"/],
  [
    { quantization_config: { quant_method: 'gptq' } },
    /quantization_config is set; expected a model with float weights/,
  ],
  [
    { rope_scaling: { type: 'linear', factor: 2 } },
    /rope_scaling: rope type is "linear", expected "default" or "llama3"/,
  ],
  [{ rope_parameters: { rope_type: 'yarn' } }, /rope_parameters: rope type is "yarn"/],
  [{ rope_scaling: 'llama3' }, /rope_scaling is "llama3", expected an object/],
  [
    { rope_parameters: { partial_rotary_factor: 0.5 } },
    /partial_rotary_factor makes 8 of 16, expected all: 1/,
  ],
  [
    { rope_scaling: { ...llama3, factor: undefined } },
    /rope_scaling: factor is missing, expected a positive number/,
  ],
  [
    { rope_scaling: { ...llama3, low_freq_factor: 4 } },
    /high_freq_factor 4 is not above low_freq_factor 4/,
  ],
  [
    {
      model_type: 'qwen3',
      num_key_value_heads: 4,
      layer_types: ['full_attention', 'chunked_attention'],
    },
    /layer_types is \["full_attention","chunked_attention"\], expected 2 of "full_attention", one a layer/,
  ],
  [
    { model_type: 'smollm3', no_rope_layers: [1] },
    /no_rope_layers is \[1\], expected 2 of 0 or 1, one a layer/,
  ],
  [
    { model_type: 'mistral', num_key_value_heads: 2, sliding_window: -1 },
    /sliding_window is -1, expected a positive integer or null/,
  ],
  [
    { rope_parameters: { full_attention: { rope_theta: 1e4 } } },
    /rope_parameters has full_attention, expected the same settings for all layers/,
  ],
  [
    { model_type: 'gemma3_text', rope_scaling: { rope_type: 'linear', factor: 8 } },
    /full_attention: rope type is "linear", expected "default" or "llama3"/,
  ],
  [
    { model_type: 'gemma3_text', attn_logit_softcapping: 50 },
    /attn_logit_softcapping is 50, expected null: Gemma 3 norms queries and keys instead/,
  ],
  [
    { model_type: 'gemma2', use_bidirectional_attention: true },
    /use_bidirectional_attention is true, expected false: every token sees those before it/,
  ],
  [
    { model_type: 'phi3', partial_rotary_factor: 0.2 },
    /partial_rotary_factor makes 3 of 16, expected an even number: rotary pairs/,
  ],
  [
    { rope_parameters: { rope_type: 'default' }, rope_scaling: { rope_type: 'yarn', factor: 4 } },
    /has rope_parameters and rope_scaling \{"rope_type":"yarn","factor":4\}, expected one of them/,
  ],
  [
    { model_type: 'phi3', rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1] } },
    /rope type is "longrope", expected "default" or "llama3"/,
  ],
  [{ eos_token_id: [2, 'x'] }, /eos_token_id is \[2,"x"\], expected a token id or a list of them/],
]
for (const [fields, message] of refused)
  test(`refused: ${message.source}`, () => {
    const json = fields === null ? null : { ...least, ...fields }
    assert.throws(() => parseConfig(json, 'config.json'), { name: 'FormatError', message })
  })
