/**
 * Our side of scoring: the batches and the scorer that jobs run, all documents per line of standard input. First line out: { at },
 * when the first batch was scored; then an OurPass per line. Argument: an Asked as JSON.
 */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { planBatches, treesOf } from '#gpu-runtime/evaluation/plan.ts'
import { tokenizePairs } from '#gpu-runtime/evaluation/requests.ts'
import { ahead } from '#gpu-runtime/inference/ahead.ts'
import { openScorer, type ScoreRequest, type Tuned } from '#gpu-runtime/inference/score.ts'
import { treeTokens } from '#gpu-runtime/inference/trees.ts'
import { initial } from '#gpu-runtime/lora/lora.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { Engine as EngineSpec, LoraSpec } from '#schema/spec.ts'
import type { Document, Pass } from './documents.ts'
import { neededTokens, type NeededTokens } from './needed.ts'

export type Asked = {
  readonly model: string
  /** A file of Documents. */
  readonly documents: string
  readonly threads: number
  /** Each null, the base model, or the seed of an adapter's numbers. */
  readonly subjects: readonly (number | null)[]
}

/** `logLikelihoods` are the first subject's. */
export type OurPass = Pass & {
  /** That were computed for one subject, and of which so many were needed. */
  readonly tokens: number
  readonly needed: NeededTokens
}

const { model, documents: file, threads, subjects } = JSON.parse(process.argv[2]!) as Asked
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const { tokenBudget } = EngineSpec.parse({})
const [documents, checkpoint, text] = await Promise.all([
  readFile(file, 'utf8').then((json) => JSON.parse(json) as Document[]),
  openCheckpoint(model),
  openText(model),
])
const { config } = checkpoint
const engine = new Engine(threads)

/** An adapter as large as those that are trained by default, with numbers that come from its seed. */
function adapter(seed: number): Tuned {
  const spec = LoraSpec.parse({})
  const flat = initial(config, spec, seed)
  // Its B matrices are 0 where training begins, and would change nothing.
  return { spec, flat: flat.map((x, i) => (x === 0 ? (((i * 7919) % 1024) / 512 - 1) / 50 : x)) }
}

const scorer = await openScorer(
  engine,
  checkpoint,
  subjects.map((seed) => (seed === null ? null : adapter(seed))),
)

/** When a pass had its first answer. */
let firstScored = 0

/** Scores in the plan of each task, as jobs do; ends after `most` batches. */
async function pass(most = Infinity): Promise<OurPass> {
  const begin = performance.now()
  const logLikelihoods: number[][] = documents.map(() => [])
  const asked: ScoreRequest[][] = []
  let [tokens, batches] = [0, 0]
  for (const own of Map.groupBy(documents.keys(), (d) => documents[d]!.task).values()) {
    const requests = own.flatMap((document) =>
      tokenizePairs(text, documents[document]!.requests, {
        maxPositions: config.maxPositions,
        bos: 'TOKENIZER',
      }).map((request, part) => ({ document, part, request })),
    )
    asked.push(requests.map(({ request }) => request))
    const parts = documents.map((): number[][] => [])
    const planned = planBatches(requests, tokenBudget)
    for await (const [batch, [first]] of ahead(planned, (b) => scorer.score(treesOf(b)))) {
      if (batches === 0) firstScored = Date.now()
      if (batches++ === most) return { seconds: 0, logLikelihoods, tokens, needed: nothing }
      tokens += batch.reduce((n, tree) => n + treeTokens(tree), 0)
      batch
        .flatMap(({ items }) => items)
        .forEach(({ document, part }, i) => {
          parts[document]![part] = first![i]!.map((choice) => choice.logLikelihood)
        })
    }
    for (const d of own) logLikelihoods[d] = parts[d]!.flat()
  }
  const seconds = (performance.now() - begin) / 1000
  return { seconds, logLikelihoods, tokens, needed: neededTokens(asked) }
}

const nothing: NeededTokens = { once: 0, tokens: 0, predicting: 0, visible: 0 }
await pass(1)
say({ at: firstScored / 1000 })
for await (const _ of createInterface({ input: process.stdin })) say(await pass())
await engine.close()
