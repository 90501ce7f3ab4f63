/** SmolLM2-135M-Instruct on real rows against TRL, PEFT and lm-evaluation-harness: thirty layers deep, where tiny models say nothing. */
import assert from 'node:assert/strict'
import { cpus } from 'node:os'
import test, { after } from 'node:test'
import { prepareTask } from '#gpu-runtime/evaluation/prepare.ts'
import { evaluate } from '#gpu-runtime/evaluation/run.ts'
import { openScorer } from '#gpu-runtime/inference/score.ts'
import { key, sites } from '#gpu-runtime/lora/lora.ts'
import { meanHeadRow, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import type { Values } from '#gpu-runtime/training/metrics.ts'
import { denominators, outcomes, prepare, stepGraph } from '#gpu-runtime/training/step.ts'
import { train } from '#gpu-runtime/training/train.ts'
import { Recipe, type TrainSpec } from '#schema/spec.ts'
import { assertClose } from '../gpu-runtime/closeness.ts'
import { settingsOf } from '../gpu-runtime/evaluation/harness.ts'
import { withoutShared } from '../gpu-runtime/shared.ts'
import { golden, realModel, wholeGradients } from './golden.ts'
import { evaluations, loraSpec, probe, realPairs, seededAdapter } from './inputs.ts'

const { directory, skip: withoutModel } = await realModel()
const skip = withoutShared || withoutModel
const engine = new Engine(cpus().length)
after(() => engine.close())

const norm = (x: Float32Array): number => Math.hypot(...chunks(x).map((c) => Math.hypot(...c)))
const chunks = (x: Float32Array): Float32Array[] =>
  Array.from({ length: Math.ceil(x.length / 4096) }, (_, i) => x.subarray(4096 * i, 4096 * (i + 1)))

/** In float64. */
const dot = (x: Float32Array, y: Float32Array): number =>
  x.reduce((sum, value, i) => sum + value * y[i]!, 0)

test(
  'two real conversations have the tokens that they had when the golden numbers were made',
  { skip },
  async () => {
    assert.deepEqual(await realPairs(directory), golden.pairs)
  },
)

for (const recompute of ['ATTENTION', 'LAYER'] as const)
  test(
    `ORPO loss, log-probabilities and the gradients of all 420 LoRA matrices of SmolLM2 equal TRL's (recompute ${recompute})`,
    { skip },
    async () => {
      const checkpoint = await openCheckpoint(directory)
      const { config } = checkpoint
      const graph = stepGraph(checkpoint, loraSpec, golden.orpo.beta, recompute)
      const session = await engine.open(graph)
      await engine.write('trainables', seededAdapter(config))
      await engine.write('gradient', new Float32Array(graph.parameters))

      const { pairs, orpo } = golden
      const nll = 'PROMPT_AND_CHOSEN'
      const prepared = prepare(
        config,
        pairs,
        denominators(pairs, { dialect: 'ODDSMITH', nll }, 1),
        nll,
        await meanHeadRow(checkpoint),
      )
      const outputs = await session.run(prepared.feeds, {
        resident: { trainables: 'trainables' },
        accumulate: { gradient: 'gradient' },
      })
      const gradient = await engine.read('gradient')
      await session.release()

      const { loss, nll_loss } = orpo.metrics
      assertClose(
        [outputs.loss!.data[0]!, outputs.nll!.data[0]!],
        [loss, nll_loss],
        { rtol: 1e-4 },
        'loss, nll',
      )
      const found = outcomes(prepared, outputs)
      const { chosen_logps, rejected_logps, log_odds, log_odds_ratio } = orpo.per_pair
      assertClose(
        found.map((o) => o.chosen),
        chosen_logps,
        { rtol: 1e-4 },
        'logps/chosen',
      )
      assertClose(
        found.map((o) => o.rejected),
        rejected_logps,
        { rtol: 1e-4 },
        'logps/rejected',
      )
      assertClose(
        found.map((o) => o.logOdds),
        log_odds,
        { atol: 2e-4 },
        'log odds',
      )
      assertClose(
        found.map((o) => o.ratio),
        log_odds_ratio,
        { atol: 2e-4 },
        'log odds ratio',
      )

      const direction = probe(gradient.length)
      const whole = await wholeGradients()
      let [at, matrices] = [0, 0]
      for (const { path, ...site } of sites(config, loraSpec))
        for (const [matrix, size] of [
          ['A', loraSpec.r * site.in],
          ['B', loraSpec.r * site.out],
        ] as const) {
          const name = key(path, matrix)
          const got = gradient.subarray(at, at + size)
          const [length, probed] = golden.gradients[name]!
          assertClose([norm(got)], [length], { rtol: 1e-4 }, `norm of the gradient of ${name}`)
          // An error e moves the dot product with a standard normal vector by about |e|.
          assertClose(
            [dot(got, direction.subarray(at, at + size))],
            [probed],
            { atol: 3e-4 * length },
            `gradient of ${name} along the probe`,
          )
          const expected = whole.get(name)
          if (expected) {
            const error = norm(got.map((g, i) => g - expected[i]!))
            assert.ok(error <= 1e-4 * length, `gradient of ${name}: error ${error}, norm ${length}`)
            whole.delete(name)
          }
          at += size
          matrices++
        }
      assert.equal(at, gradient.length)
      assert.deepEqual([matrices, whole.size], [420, 0])
    },
  )

for (const subject of ['base', 'adapter'] as const)
  test(
    `log-likelihoods of ARC and OpenBookQA choices under SmolLM2 (${subject}) equal lm-evaluation-harness's`,
    { skip },
    async () => {
      const checkpoint = await openCheckpoint(directory)
      const text = await openText(directory)
      const signal = new AbortController().signal
      const scorer = await openScorer(engine, checkpoint, [
        subject === 'base' ? null : { spec: loraSpec, flat: seededAdapter(checkpoint.config) },
      ])
      for (const { task, rows, limit } of evaluations) {
        const prepared = await prepareTask(
          settingsOf({ task, limit }),
          { rows, examples: null },
          { text, maxPositions: checkpoint.config.maxPositions },
          signal,
        )
        let seen = 0
        for await (const { samples } of evaluate(prepared, scorer, 512, signal))
          for (const { document, choices } of samples[0]!) {
            const expected = golden.log_likelihoods[subject][task][document]!
            // Float32 rounding of logits that reach 30 is about 1e-5 a token; choices have 1 to 20.
            assertClose(
              choices.map((c) => c.logLikelihood!),
              expected,
              { atol: 1e-3 },
              `${task}, document ${document}`,
            )
            seen++
          }
        assert.equal(seen, limit)
      }
      await scorer.release()
    },
  )

test(
  'three optimizer steps of train() on real rows have the losses and norms of TRL’s trainer',
  { skip },
  async () => {
    const checkpoint = await openCheckpoint(directory)
    const { settings: s, steps } = golden.training
    const pairs = await realPairs(directory)
    const trainables = seededAdapter(checkpoint.config)
    const zeros = () => new Float32Array(trainables.length)
    const spec: TrainSpec = {
      kind: 'TRAIN',
      model: { path: directory, revision: golden.weights_sha256 },
      adapter: null,
      quantization: 'NONE',
      dataset: { path: '', sha256: '', shuffle: false, limit: null, testSize: 0 },
      recipe: Recipe.parse({
        beta: s.beta,
        learningRate: s.learning_rate,
        schedule: 'LINEAR',
        warmupSteps: s.warmup_steps,
        weightDecay: s.weight_decay,
        maxGradNorm: s.max_grad_norm,
        batchSize: s.per_device_train_batch_size,
        accumulation: s.gradient_accumulation_steps,
        maxSteps: s.max_steps,
        evalEvery: 0,
        checkpointEvery: 0,
      }),
      lora: loraSpec,
      engine: {
        recompute: 'ATTENTION',
        compute: 'AUTO',
        tokenBudget: 1024,
        threads: engine.threads,
      },
      evaluate: [],
    }
    const curves: Values[] = []
    for await (const event of train({
      spec,
      checkpoint,
      engine,
      signal: new AbortController().signal,
      pairs: { count: pairs.length, get: async (row) => pairs[row]!, check: async () => {} },
      resume: {
        step: 0,
        trainables,
        moments: { m: zeros(), v: zeros() },
        window: { sums: {}, counts: {} },
        lossScale: null,
        best: null,
      },
    }))
      if (event.type === 'metrics') curves.push(event.values)
    assert.ok(
      curves.every((values) => Object.values(values).every(Number.isFinite)),
      'every value is finite',
    )
    const compare = (names: readonly string[], tolerance: { rtol?: number; atol?: number }) => {
      for (const name of names)
        assertClose(
          curves.map((c) => c[name]!),
          steps.map((step) => step[name.replace('logits/', 'logits_predicting/')]!),
          tolerance,
          name,
        )
    }
    compare(['learning_rate', 'epoch', 'rewards/accuracies'], { rtol: 1e-6, atol: 1e-9 })
    compare(
      ['loss', 'nll_loss', 'logps/chosen', 'logps/rejected', 'logits/chosen', 'logits/rejected'],
      { rtol: 1e-4 },
    )
    compare(['log_odds_chosen', 'log_odds_ratio', 'rewards/margins'], { atol: 5e-4 })
    compare(['grad_norm'], { rtol: 1e-4 })
  },
)
