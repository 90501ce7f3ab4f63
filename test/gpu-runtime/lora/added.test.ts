/** Rows of added tokens: computed with, trained, stored and read as PEFT does (test/golden/addedTokens.py). */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { readHeader, readTensor } from '#gpu-runtime/files/safetensors.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { initialAdapter, savedMatrices } from '#gpu-runtime/lora/addedRows.ts'
import { initial, lora } from '#gpu-runtime/lora/lora.ts'
import { hasAddedRows, loadAdapter, saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { tokenMatrices, withAddedTokens } from '#gpu-runtime/models/addedTokens.ts'
import { meanHeadRow, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { decoder } from '#gpu-runtime/models/decoder.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { cast, concat, matmul } from '#gpu-runtime/tensor/ops.ts'
import { openChatMl, tokenizerFiles } from '#gpu-runtime/text/chatMl.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { denominators, outcomes, prepare, stepGraph } from '#gpu-runtime/training/step.ts'
import { scored } from '../inference/scored.ts'
import { assertClose } from '../closeness.ts'
import { absent, modelOf, readJson } from '../golden.ts'
import { addedCases, made, type AddedCase } from './added.ts'

type Case = {
  logits: number[][]
  loss: number
  nll_loss: number
  chosen_logps: number[]
  rejected_logps: number[]
  grad_norm: number
  mean_logits: { chosen: number; rejected: number }
  rows: number[][][]
  chat?: {
    messages: { role: string; content: string }[]
    whole: number[]
    prompt: number[]
    bos: number
    eos: number
    pad: number
    size: number
  }
}
const golden = readJson<{ cases: Record<AddedCase, Case> }>('addedTokens').cases

const engine = new Engine(1)
after(() => engine.close())

async function inFolder<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-added-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

for (const name of Object.keys(addedCases) as AddedCase[]) {
  const skip = absent(addedCases[name].model)
  const expected = golden[name]

  test(
    `${name}: a stored adapter, read by another process, has the logits that it has in PEFT`,
    { skip },
    async () => {
      const { checkpoint, spec, flat, ids, model } = await made(name)
      const adapter = await inFolder(async (directory) => {
        await saveAdapter(directory, checkpoint, spec, flat, model)
        assert.equal(await hasAddedRows(directory), true)
        return await loadAdapter(directory, checkpoint)
      })
      const { config, weight } = checkpoint
      const { parts, trainables } = lora(config, spec)
      const { hidden, head, addedHead } = decoder(config, stream(config, 1), parts)
      const logits = concat(
        [head, cast(addedHead!, 'compute')].map((e) => matmul(hidden, e, { transB: true })),
        1,
      )
      const session = await engine.open(emit({ outputs: { logits }, trainables }, weight))
      await engine.write('trainables', adapter.flat)
      const outputs = await session.run(layout(config, [{ ids }], 1, 0).feeds, {
        resident: { trainables: 'trainables' },
      })
      const width = config.vocabulary + config.addedTokens
      const last = outputs.logits!.data.subarray((ids.length - 2) * width, ids.length * width)
      const flatLogits = expected.logits.flat()
      const largest = flatLogits.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
      assertClose(last, flatLogits, { rtol: 1e-4, atol: 2e-5 * largest }, 'logits')
      await session.release()
    },
  )

  test(
    `${name}: loss, metrics and gradients, also those of the rows, equal PyTorch's`,
    { skip },
    async () => {
      const { checkpoint, spec, flat, pairs, model } = await made(name)
      const { config } = checkpoint
      // In the type of the base, as PEFT reads them.
      const stored = await inFolder(async (directory) => {
        await saveAdapter(directory, checkpoint, spec, flat, model)
        return await loadAdapter(directory, checkpoint)
      })
      const graph = stepGraph(checkpoint, spec, 0.1, 'ATTENTION')
      const session = await engine.open(graph)
      await engine.write('trainables', stored.flat)
      const rows = pairs.map((p, row) => ({
        row,
        ...p,
        cut: { prompt: 0, chosen: 0, rejected: 0 },
      }))
      const each = denominators(rows, { dialect: 'TRL_1', nll: null }, 1)
      for (const batches of [[[0, 1]], [[0], [1]]]) {
        await engine.write('gradient', new Float32Array(graph.parameters))
        let [loss, nll] = [0, 0]
        const all = []
        for (const batch of batches) {
          const prepared = prepare(
            config,
            batch.map((i) => rows[i]!),
            batch.map((i) => each[i]!),
            'PROMPT_AND_CHOSEN',
            await meanHeadRow(checkpoint),
          )
          const outputs = await session.run(prepared.feeds, {
            resident: { trainables: 'trainables' },
            accumulate: { gradient: 'gradient' },
          })
          loss += outputs.loss!.data[0]!
          nll += outputs.nll!.data[0]!
          all.push(...outcomes(prepared, outputs))
        }
        assertClose([loss, nll], [expected.loss, expected.nll_loss], { rtol: 1e-5 }, 'loss, nll')
        for (const side of ['chosen', 'rejected'] as const) {
          const logps = all.map((o) => o[side])
          assertClose(logps, expected[`${side}_logps`], { rtol: 1e-5 }, `logps/${side}`)
          const sums = all.map((o) => o[`${side}Logits`])
          const mean = sums.reduce((s, o) => s + o.sum, 0) / sums.reduce((s, o) => s + o.count, 0)
          assertClose(
            [mean],
            [expected.mean_logits[side]],
            { rtol: 1e-4, atol: 1e-5 },
            `logits/${side}`,
          )
        }
        const gradient = await engine.read('gradient')
        const matrices = initial(config, spec, 0).length
        const norm = Math.sqrt(gradient.subarray(0, matrices).reduce((s, g) => s + g * g, 0))
        assertClose([norm], [expected.grad_norm], { rtol: 1e-4 }, 'grad_norm')
        const flatRows = expected.rows.flat(2)
        const largest = flatRows.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
        assertClose(
          gradient.subarray(matrices),
          flatRows,
          { rtol: 1e-4, atol: 1e-5 * largest },
          'rows',
        )
      }
      await session.release()
    },
  )

  test(`${name}: scoring finds the log-probabilities that training has`, { skip }, async () => {
    const { checkpoint, spec, flat, pairs, model } = await made(name)
    const stored = await inFolder(async (directory) => {
      await saveAdapter(directory, checkpoint, spec, flat, model)
      return await loadAdapter(directory, checkpoint)
    })
    const scorer = await openScorer(engine, checkpoint, [stored])
    const scores = await scored(
      scorer,
      pairs.map(({ prompt, chosen, rejected }) => ({
        context: prompt,
        choices: [chosen, rejected],
        scored: [chosen.length, rejected.length],
      })),
    )
    const means = scores.map((choices) => choices.map((c) => c.logLikelihood / c.tokens.length))
    assertClose(
      means.flat(),
      expected.chosen_logps.flatMap((a, i) => [a, expected.rejected_logps[i]!]),
      { rtol: 1e-5 },
      'log-likelihoods',
    )
    await scorer.release()
  })
}

test('added rows begin as the mean of the others, always the same, and a base without them is as it was', async () => {
  const { checkpoint, spec } = await made('untied')
  const { vocabulary, hidden } = checkpoint.config
  const start = await initialAdapter(checkpoint, spec, 1)
  assert.deepEqual(await initialAdapter(checkpoint, spec, 1), start)
  const matrices = initial(checkpoint.config, spec, 1)
  assert.deepEqual(start.subarray(0, matrices.length), matrices)
  const expected: number[] = []
  for (const name of tokenMatrices(checkpoint.config)) {
    const rows = await readTensor(checkpoint.tensors.get(name)!)
    const column = (i: number) =>
      Array.from({ length: vocabulary }, (_, v) => rows[v * hidden + i]!).reduce((a, b) => a + b) /
      vocabulary
    const mean = Array.from({ length: hidden }, (_, i) => column(i))
    expected.push(...mean, ...mean)
  }
  assertClose(start.subarray(matrices.length), expected, { atol: 1e-7 }, 'rows')
  const base = await openCheckpoint(modelOf('tiny'))
  assert.deepEqual(await initialAdapter(base, spec, 1), matrices)
})

test('an adapter that does not stand on this base is refused: other rows, another number, another type', async () => {
  const { checkpoint, spec, flat, model } = await made('untied')
  await inFolder(async (directory) => {
    await saveAdapter(directory, checkpoint, spec, flat, model)
    const three = withAddedTokens(checkpoint, { vocabulary: 96, addedTokens: 3 })
    await assert.rejects(
      loadAdapter(directory, three),
      /embed_tokens\.weight" is F32 \[98,64\], expected F32 \[99,64\]: the base's rows and 3 more/,
    )
    const plain = await openCheckpoint(modelOf('tiny'))
    await assert.rejects(loadAdapter(directory, plain), /lm_head\.weight" belongs to none of/)
    const file = join(directory, 'adapter_model.safetensors')
    const bytes = await readFile(file)
    const { tensors } = await readHeader(file)
    const at = tensors.get(savedMatrices[0].key)!.offset + 5
    bytes[at] = bytes[at]! ^ 1
    await writeFile(file, bytes)
    await assert.rejects(
      loadAdapter(directory, checkpoint),
      /has other rows than model\.embed_tokens\.weight of .*expected only the last 2 to differ/,
    )
  })
})

test(
  'ChatML: ids, special tokens and template are those of AutoTokenizer on the stored files',
  { skip: absent('stories260K') },
  async () => {
    const expected = golden.stories.chat!
    const chat = await openChatMl(modelOf('stories260K'))
    assert.deepEqual([chat.vocabulary, chat.addedTokens], [expected.size - 2, 2])
    const { messages } = expected
    await inFolder(async (directory) => {
      await chat.save(directory)
      // As training reads it, and as a process reads it that has only the adapter's files.
      for (const text of [chat.text, await openText(directory)]) {
        assert.deepEqual(
          [text.bosId, text.eosId, text.padId],
          [expected.bos, expected.eos, expected.pad],
        )
        const ids = (list: typeof messages, addGenerationPrompt: boolean) =>
          text.encode(text.render(list, { addGenerationPrompt }))
        assert.deepEqual(ids(messages, false), expected.whole)
        assert.deepEqual(ids(messages.slice(0, 2), true), expected.prompt)
      }
      for (const file of tokenizerFiles) JSON.parse(await readFile(join(directory, file), 'utf8'))
      const again = await openChatMl(directory)
      assert.equal(again.addedTokens, 0, 'a vocabulary that has the tokens gets no others')
    })
  },
)
