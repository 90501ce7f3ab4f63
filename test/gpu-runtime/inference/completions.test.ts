/** Completions against lm-evaluation-harness' (test/golden/completions.json), in batches of any size. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { completions, type CompletionOptions } from '#gpu-runtime/inference/completions.ts'
import { openGenerator, type GeneratorOptions } from '#gpu-runtime/inference/generate.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { absent, modelOf, readJson } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

const golden = readJson<{
  maxTokens: number
  prompts: number[][]
  cases: { until: string[]; texts: string[] }[]
}>('completions')
const { maxTokens, prompts } = golden
const skip = absent('stories260K')

async function complete(
  options: Partial<CompletionOptions> & { until: readonly string[] },
  how: GeneratorOptions = {},
) {
  const model = modelOf('stories260K')
  const text = await openText(model)
  const generator = await openGenerator(engine, await openCheckpoint(model), null, how)
  const settings = { maxTokens, temperature: 0, ...options }
  const found = await Array.fromAsync(completions(generator, text, prompts, settings))
  await generator.release()
  return { text, found }
}

for (const { until, texts } of golden.cases)
  for (const how of [{}, { rows: 2 }, { way: 'SCANNED', slots: 7 }] as const)
    test(
      `up to ${JSON.stringify(until)}, ${JSON.stringify(how)}: the harness’ texts`,
      { skip },
      async () => {
        const { found } = await complete({ until }, how)
        const byPrompt = found.toSorted((a, b) => a.index - b.index)
        assert.deepEqual(
          byPrompt.map(({ index }) => index),
          prompts.map((_, i) => i),
        )
        assert.deepEqual(
          byPrompt.map((c) => c.text),
          texts,
        )
      },
    )

test(
  'no token is made after a stop text, and what is finished first comes first',
  { skip },
  async () => {
    const { text, found } = await complete({ until: ['.'] })
    const lengths = found.map(({ tokens }) => tokens.length)
    assert.deepEqual(
      lengths,
      lengths.toSorted((a, b) => a - b),
    )
    assert.ok(new Set(lengths).size > 2)
    for (const { tokens } of found) {
      assert.ok(text.decode(tokens, { skipSpecial: true }).endsWith('.'))
      assert.ok(!text.decode(tokens.slice(0, -1), { skipSpecial: true }).includes('.'))
    }
  },
)

test('an empty stop text is refused', { skip }, () =>
  assert.rejects(complete({ until: ['.', ''] }), {
    name: 'FormatError',
    message: 'until: a stop text is empty',
  }),
)

test('the end of sequence ends a completion, and none of its text is left', { skip }, async () => {
  const model = modelOf('stories260K')
  const real = await openText(model)
  const generator = await openGenerator(engine, await openCheckpoint(model), null)
  // As if the first prompt's third new token were it.
  const first = prompts.slice(0, 1)
  const whole: number[] = []
  for await (const [own] of generator.generate(first, {
    maxTokens: 3,
    stopIds: [],
    temperature: 0,
  }))
    whole.push(...own!)
  const text: Pick<Text, 'encode' | 'decode' | 'eosId'> = { ...real, eosId: whole[2]! }
  const [completion] = await Array.fromAsync(
    completions(generator, text, first, { until: [], maxTokens, temperature: 0 }),
  )
  assert.deepEqual(completion!.tokens, whole)
  const end = real.decode(whole.slice(2), { skipSpecial: false })
  assert.equal(completion!.text, real.decode(whole, { skipSpecial: true }).split(end)[0])
  await generator.release()
})
