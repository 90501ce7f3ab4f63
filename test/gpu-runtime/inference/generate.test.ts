/** Generated tokens against transformers' (test/golden/generated.json), and what they must and must not depend on. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after } from 'node:test'
import {
  openGenerator,
  type GenerateOptions,
  type Generator,
  type GeneratorOptions,
} from '#gpu-runtime/inference/generate.ts'
import { key, lora, sites } from '#gpu-runtime/lora/lora.ts'
import { openCheckpoint, type Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { layout, stream } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { stream as random } from '#gpu-runtime/random.ts'
import { floats } from '#gpu-runtime/tensor/feed.ts'
import { interpret, value } from '#gpu-runtime/tensor/interpret.ts'
import { cast, concat, draw, input, largest, matmul } from '#gpu-runtime/tensor/ops.ts'
import {
  absent,
  familyCases,
  loraOf,
  modelOf,
  readJson,
  readTensors,
  type CaseName,
} from '../golden.ts'
import { made } from '../lora/added.ts'

const engine = new Engine(1)
after(() => engine.close())

type Prompts = readonly (readonly number[])[]

async function all(
  generator: Generator,
  prompts: Prompts,
  options: Partial<GenerateOptions> & { maxTokens: number },
): Promise<number[][]> {
  const ids = prompts.map((): number[] => [])
  for await (const made of generator.generate(prompts, {
    stopIds: [],
    temperature: 0,
    ...options,
  }))
    made.forEach((own, i) => ids[i]!.push(...own))
  return ids
}

const stories = (options?: GeneratorOptions): Promise<Generator> =>
  openCheckpoint(modelOf('stories260K')).then((c) => openGenerator(engine, c, null, options))

/** Both ways of taking steps: a card's runs on a CPU too. */
const ways = ['STEPPED', 'SCANNED'] as const

test(
  'greedy tokens of stories260K are the reference’s',
  { skip: absent('stories260K') },
  async () => {
    const { ids } = JSON.parse(
      readFileSync(join(modelOf('stories260K'), 'greedy_reference.json'), 'utf8'),
    ) as { ids: number[] }
    const generator = await stories()
    assert.deepEqual(await all(generator, [ids.slice(0, 1)], { maxTokens: ids.length - 1 }), [
      ids.slice(1),
    ])
    await generator.release()
  },
)

type Generated = { prompts: number[][]; base: number[][]; adapter: number[][] }
const golden = readJson<{ cases: Record<string, Generated> }>('generated').cases

test('there are golden tokens of every family', () => {
  assert.deepEqual(
    Object.keys(golden).toSorted(),
    ['tiny', 'tiny-llama3', ...familyCases].toSorted(),
  )
})

for (const [name, { prompts, base, adapter }] of Object.entries(golden) as [CaseName, Generated][])
  test(`${name}: greedy tokens equal transformers’, of the base model and of an adapter`, async () => {
    const checkpoint = await openCheckpoint(modelOf(name))
    const spec = loraOf(readJson(name))
    const matrices = await readTensors(name)
    const flat = Float32Array.from(
      sites(checkpoint.config, spec).flatMap(({ path }) =>
        (['A', 'B'] as const).flatMap((m) => [...matrices.get(key(path, m))!.data]),
      ),
    )
    for (const [tuned, expected] of [
      [null, base],
      [{ spec, flat }, adapter],
    ] as const)
      for (const way of ways) {
        const generator = await openGenerator(engine, checkpoint, tuned, { way, slots: 16 })
        assert.deepEqual(await all(generator, prompts, { maxTokens: 40 }), expected, way)
        await generator.release()
      }
  })

for (const name of [...familyCases, 'stories260K'] as const)
  test(
    `${name}: a beginning that all prompts share is read once, to the same end`,
    { skip: absent(name) },
    async () => {
      const checkpoint = await openCheckpoint(modelOf(name))
      const { ids } = readJson(name)
      const beginning = [...ids, ...ids.toReversed(), ...ids].slice(0, 45)
      const ends = [ids.slice(0, 4), [], ids.slice(2, 9), ids.slice(5, 6), ids.slice(3, 20)]
      const prompts = ends.map((end) => [...beginning, ...end])
      const generator = await openGenerator(engine, checkpoint, null, { rows: 3 })
      // Drawn, since the most probable token of a random model depends on little.
      const options = { maxTokens: 40, temperature: 1, seed: 3 }
      const together = await all(generator, prompts, options)
      for (const [i, prompt] of prompts.entries())
        assert.deepEqual(await all(generator, [prompt], options), [together[i]])
      await generator.release()
    },
  )

for (const name of ['untied', 'tied'] as const)
  test(`${name}: added tokens are read and generated as the training graph predicts them`, async () => {
    const { checkpoint, spec, flat, ids } = await made(name)
    const { config, weight } = checkpoint
    // The head's rows of added tokens are the last; larger, they are often the most probable.
    const rowsAt = flat.length - config.addedTokens * config.hidden
    for (let i = rowsAt; i < flat.length; i++) flat[i]! *= 8
    const { parts, trainables } = lora(config, spec)
    const { hidden, head, addedHead } = decoder(config, stream(config, 1), parts)
    const logits = concat(
      [head, addedHead!].map((matrix) =>
        matmul(cast(hidden, 'float32'), cast(matrix, 'float32'), { transB: true }),
      ),
      1,
    )
    const session = await engine.open(emit({ outputs: { logits }, trainables }, weight))
    await engine.write('added', flat.slice())
    const prompts = [ids, ids.slice(0, 3), ids.slice(4, 12)]
    const [generated, scanned] = await Promise.all(
      ways.map(async (way) => {
        const generator = await openGenerator(engine, checkpoint, { spec, flat }, { way, slots: 8 })
        const made = await all(generator, prompts, { maxTokens: 30 })
        await generator.release()
        return made
      }),
    )
    assert.deepEqual(scanned, generated)
    assert.ok(generated!.flat().some((id) => id >= config.vocabulary))
    const width = config.vocabulary + config.addedTokens
    for (const [i, prompt] of prompts.entries()) {
      const whole = [...prompt, ...generated![i]!]
      const { feeds } = layout(config, [{ ids: whole }], 1, 0)
      const { data } = (await session.run(feeds, { resident: { trainables: 'added' } })).logits!
      generated![i]!.forEach((id, t) => {
        const at = (prompt.length - 1 + t) * width
        const row = data.subarray(at, at + width)
        assert.ok(row[id]! > Math.max(...row) - 1e-4, `prompt ${i}, token ${t}: ${id}`)
      })
    }
    await session.release()
  })

const [once, dog, lily] = [
  [1, 403, 407, 261, 378],
  [1, 410, 408, 419, 292, 411, 322],
  [1, 317, 426, 338],
]
const sampling = { temperature: 0.9, topP: 0.95, seed: 5 }

test(
  'what a prompt gets does not depend on its company, its place, the rows there are, or how many tokens a run makes',
  { skip: absent('stories260K') },
  async () => {
    const generator = await stories()
    const others = await Promise.all([
      stories({ rows: 2 }),
      stories({ rows: 1 }),
      stories({ way: 'SCANNED' }),
      stories({ way: 'SCANNED', slots: 5, rows: 3 }),
    ])
    const prompts = [once!, dog!, lily!, [1], once!, dog!.slice(0, 3), lily!]
    for (const settings of [{ temperature: 0 }, sampling, { ...sampling, topK: 7 }]) {
      const options = { ...settings, maxTokens: 24, stopIds: [426] }
      const together = await all(generator, prompts, options)
      for (let seed = 0; seed < 3; seed++) {
        const order = [...random(seed, 'order').shuffle(prompts.length)]
        const shuffled = await all(
          generator,
          order.map((i) => prompts[i]!),
          options,
        )
        // Equal prompts are told apart by their order alone.
        const got = (ids: Prompts, places: readonly number[]) =>
          places.map((p, i) => `${prompts[p]!.join()} → ${ids[i]!.join()}`).toSorted()
        assert.deepEqual(got(shuffled, order), got(together, [...prompts.keys()]))
      }
      for (const size of [1, 3]) {
        const distinct = [once!, dog!, lily!, [1]]
        const apart: number[][] = []
        for (let at = 0; at < distinct.length; at += size)
          apart.push(...(await all(generator, distinct.slice(at, at + size), options)))
        assert.deepEqual(apart, together.slice(0, 4))
      }
      for (const other of others) assert.deepEqual(await all(other, prompts, options), together)
    }
    await Promise.all([generator, ...others].map((g) => g.release()))
  },
)

test(
  'a sequence ends with its stop id, or where it is told to; the others go on',
  { skip: absent('stories260K') },
  async () => {
    for (const way of ways) {
      const generator = await stories({ way, slots: 8 })
      const prompts = [once!, dog!, lily!]
      const free = await all(generator, prompts, { maxTokens: 40 })
      const stop = free[1]![9]!
      const stopped = await all(generator, prompts, { maxTokens: 40, stopIds: [stop, 0] })
      assert.deepEqual(
        stopped,
        free.map((ids) => ids.slice(0, ids.includes(stop) ? ids.indexOf(stop) + 1 : 40)),
      )
      assert.ok(stopped[1]!.length <= 10 && new Set(stopped.map((ids) => ids.length)).size > 1)
      const ended = (i: number, tokens: readonly number[]) => tokens.length === [3, 11, 40][i]
      const told = await all(generator, prompts, { maxTokens: 40, ended })
      assert.deepEqual(told, [free[0]!.slice(0, 3), free[1]!.slice(0, 11), free[2]])
      await generator.release()
    }
  },
)

test(
  'equal prompts draw different tokens; a seed draws the same again',
  { skip: absent('stories260K') },
  async () => {
    const generator = await stories()
    const options = { ...sampling, temperature: 1.5, topP: 1, maxTokens: 20 }
    const [a, b] = await all(generator, [once!, once!], options)
    assert.notDeepEqual(a, b)
    assert.deepEqual(await all(generator, [once!, once!], options), [a, b])
    assert.notDeepEqual(await all(generator, [once!], { ...options, seed: 6 }), [a])
    await generator.release()
  },
)

/** Logits after a prompt, by the graph that training and scoring use. */
async function logitsAfter({ config, weight }: Checkpoint, prompt: readonly number[]) {
  const { hidden, head } = decoder(config, stream(config, 1), frozen)
  const logits = cast(matmul(hidden, head, { transB: true }), 'float32')
  const session = await engine.open(emit({ outputs: { logits } }, weight))
  const { data } = (await session.run(layout(config, [{ ids: prompt }], 1, 0).feeds)).logits!
  await session.release()
  const { vocabulary } = config
  return [...data.subarray((prompt.length - 1) * vocabulary, prompt.length * vocabulary)]
}

const draws = 4000

for (const [what, { temperature, topP, topK }, left] of [
  ['all tokens', { temperature: 1.5, topP: 1, topK: 0 }, 48],
  ['the seven most probable', { temperature: 1.5, topP: 1, topK: 7 }, 7],
  ['those that make up 60 %', { temperature: 1.2, topP: 0.6, topK: 0 }, null],
  [
    'those that make up 60 % of the nine most probable',
    { temperature: 1.2, topP: 0.6, topK: 9 },
    null,
  ],
] as const)
  test(`of ${what}, each is drawn as often as its probability says (χ²)`, async () => {
    const checkpoint = await openCheckpoint(modelOf('families/qwen3'))
    const prompt = readJson('families/qwen3').ids.slice(0, 6)
    const logits = await logitsAfter(checkpoint, prompt)
    const ranked = logits.map((logit, id) => ({ id, logit })).toSorted((a, b) => b.logit - a.logit)
    const candidates = ranked.slice(0, topK || undefined)
    const weights = candidates.map(({ logit }) =>
      Math.exp((logit - ranked[0]!.logit) / temperature),
    )
    const total = weights.reduce((a, b) => a + b)
    let share = 0
    const kept = candidates
      .map(({ id }, i) => ({ id, p: weights[i]! / total }))
      .filter(({ p }) => {
        const before = share
        share += p
        return before < topP
      })
    if (left !== null) assert.equal(kept.length, left)
    else assert.ok(kept.length > 2 && kept.length < candidates.length, `${kept.length} are left`)
    const mass = kept.reduce((s, { p }) => s + p, 0)

    const generator = await openGenerator(engine, checkpoint, null, { rows: 500 })
    const counts = new Map<number, number>()
    const drawn = await all(
      generator,
      Array.from({ length: draws }, () => prompt),
      { maxTokens: 1, temperature, topP, topK, seed: 11 },
    )
    for (const [id] of drawn) counts.set(id!, (counts.get(id!) ?? 0) + 1)
    await generator.release()
    for (const id of counts.keys())
      assert.ok(
        kept.some((k) => k.id === id),
        `drew ${id}`,
      )
    // Rare ones as one class, so that each class expects five or more.
    const expected = kept.map(({ id, p }) => ({ n: counts.get(id) ?? 0, e: (draws * p) / mass }))
    const common = expected.filter(({ e }) => e >= 5)
    const rare = expected.filter(({ e }) => e < 5)
    const classes = [
      ...common,
      ...(rare.length > 0
        ? [rare.reduce((a, b) => ({ n: a.n + b.n, e: a.e + b.e }), { n: 0, e: 0 })]
        : []),
    ].filter(({ e }) => e > 1)
    const chi2 = classes.reduce((s, { n, e }) => s + (n - e) ** 2 / e, 0)
    // Wilson and Hilferty: (χ²/k)^⅓ is nearly normal. Four standard deviations happen to one seed in 30 000.
    const k = classes.length - 1
    const z = (Math.cbrt(chi2 / k) - (1 - 2 / (9 * k))) / Math.sqrt(2 / (9 * k))
    assert.ok(z < 4, `χ² ${chi2} with ${k} degrees of freedom`)
  })

test('draw and largest: ONNX gives what the interpreter says, at the borders of the numbers too', async () => {
  const [height, width] = [64, 23]
  const numbers = random(3, 'draw')
  const logits = input('logits', ['R', width])
  const settings = {
    temperature: input('temperature', []),
    topP: input('topP', []),
    uniform: input('uniform', ['R', 1]),
  }
  const outputs = {
    ...Object.fromEntries(
      [2, 7, width].map((n) => [`of${n}`, cast(draw(logits, n, settings), 'float32')]),
    ),
    largest: cast(largest(logits), 'float32'),
  }
  const session = await engine.open(emit({ outputs }, () => assert.fail('no weights here')))
  // Halves, so that rows have equal logits: the first of them comes first.
  const data = Array.from(
    { length: height * width },
    (_, i) => Math.round(4 * numbers.normal(i)) / 2,
  )
  const uniform = Array.from({ length: height }, (_, i) =>
    i === 0 ? 0 : i === 1 ? 1 - 2 ** -24 : Math.fround(numbers.uniform(i)),
  )
  for (const [temperature, topP] of [
    [1, 1],
    [0.3, 0.9],
    [2, 0.2],
    [1e-3, 1],
  ] as const) {
    const got = await session.run({
      logits: floats(data, [height, width]),
      temperature: floats([temperature], []),
      topP: floats([topP], []),
      uniform: floats(uniform, [height, 1]),
    })
    const expected = interpret(
      Object.values(outputs),
      new Map([
        ['logits', value(data, [height, width])],
        ['temperature', value([Math.fround(temperature)], [])],
        ['topP', value([Math.fround(topP)], [])],
        ['uniform', value(uniform, [height, 1])],
      ]),
      new Map([['R', height]]),
    )
    Object.keys(outputs).forEach((name, i) =>
      assert.deepEqual(
        [...got[name]!.data],
        [...expected[i]!.data],
        `${name} at ${temperature}, ${topP}`,
      ),
    )
  }
  await session.release()
})

test('prompts and settings that cannot be are refused with their numbers', async () => {
  const checkpoint = await openCheckpoint(modelOf('tiny'))
  const generator = await openGenerator(engine, checkpoint, null)
  const { maxPositions, vocabulary } = checkpoint.config
  const refused = (prompts: Prompts, options: Partial<GenerateOptions>, message: string) =>
    assert.rejects(all(generator, prompts, { maxTokens: 1, ...options }), {
      name: 'FormatError',
      message,
    })
  await refused(
    [[1], [1, 2, 3]],
    { maxTokens: maxPositions - 2 },
    `prompt 1: 3 tokens and ${maxPositions - 2} new ones, the model has ${maxPositions} positions`,
  )
  await refused([[1], []], {}, 'prompt 1: empty, expected at least one token')
  await refused(
    [[vocabulary]],
    {},
    `prompt 0: token ${vocabulary}, expected 0 to ${vocabulary - 1}`,
  )
  await refused([[1]], { maxTokens: 0 }, 'maxTokens: expected 1 or more, got 0')
  await refused([[1]], { temperature: -1 }, 'temperature: expected 0 or more, got -1')
  await refused([[1]], { topP: 0 }, 'topP: expected more than 0, at most 1, got 0')
  await refused([[1]], { topK: 1.5 }, 'topK: expected 0 or more, got 1.5')
  await generator.release()
})

test(
  'an aborted call ends between runs; the generator goes on to serve',
  { skip: absent('stories260K') },
  async () => {
    const generator = await stories({ way: 'SCANNED', slots: 4 })
    const abort = new AbortController()
    const made = generator.generate([once!], {
      maxTokens: 40,
      stopIds: [],
      temperature: 0,
      signal: abort.signal,
    })
    assert.equal((await made.next()).value![0]!.length, 4)
    abort.abort(new Error('enough'))
    await assert.rejects(all(generator, [once!], { maxTokens: 6 }), /at work for another call/)
    await assert.rejects(made.next(), /enough/)
    assert.equal((await all(generator, [once!], { maxTokens: 6 }))[0]!.length, 6)
    await generator.release()
  },
)
