/**
 * `npm run bench:eval`: our scoring against lm-evaluation-harness's on the same requests, our generation against transformers' and
 * llama.cpp's on the same prompts, several subjects in one pass against one after the other. Sides take turns, so that ratios hold on
 * a machine whose speed drifts; absolute times of different runs are not comparable.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { median } from '../median.ts'
import { Peer } from '../peer.ts'
import { table } from '../table.ts'
import type { Round } from '../train/gemm.ts'
import { gemms, weightedRate } from '../train/gemmShapes.ts'
import { accuracy, agreement } from './agreement.ts'
import type { Document, Pass } from './documents.ts'
import { readFigures, type Figures } from './figures.ts'
import { generationSides, type GenerationSide } from './generationSides.ts'
import type { Generated } from './generation.ts'
import { longDocuments, prompts } from './longTexts.ts'
import { scoringFlops } from './needed.ts'
import { parts, readOptions, usage, type Options } from './options.ts'
import type { Asked, OurPass } from './ours.ts'
import { summary } from './summary.ts'
import { harnessTasks } from './workload.ts'

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const tell = (text: string): void => void process.stderr.write(`${text}\n`)
const script = (name: string): string => join(import.meta.dirname, name)

/** As lm-evaluation-harness is usually run on a CPU. */
const harnessBatch = 8

type HarnessPass = Pass & {
  readonly tokens: number
  readonly computed: number
  readonly gold: readonly (readonly number[])[]
  readonly accuracy: Readonly<Record<string, number>>
}

/** onnxruntime's products: the FLOPs that a pass needs, and FLOP/s of this moment. */
type Gemm = {
  readonly peer: Peer<Round>
  flops(pass: OurPass): number
  rate(): Promise<number>
}

class Benchmark {
  readonly #options: Options
  readonly #scratch: string
  readonly figures: Figures
  readonly #alive = new Set<Peer<unknown>>()

  constructor(options: Options, scratch: string, figures: Figures) {
    this.#options = options
    this.#scratch = scratch
    this.figures = figures
  }

  #start<T>(...args: ConstructorParameters<typeof Peer<T>>): Peer<T> {
    const peer = new Peer<T>(...args)
    this.#alive.add(peer as Peer<unknown>)
    return peer
  }

  async end(): Promise<void> {
    for (const peer of this.#alive) await peer.end()
  }

  #python<T>(name: string, args: readonly string[]): Peer<T> {
    return this.#start<T>(name, this.#options.python, args, {
      OMP_NUM_THREADS: String(this.#options.threads),
      HF_HUB_OFFLINE: '1',
      HF_DATASETS_CACHE: join(this.#scratch, 'datasets'),
      TOKENIZERS_PARALLELISM: 'false',
    })
  }

  async #ours(documents: readonly Document[], subjects: Asked['subjects']): Promise<Peer<OurPass>> {
    const { model, threads } = this.#options
    const file = join(this.#scratch, 'documents.json')
    await writeFile(file, JSON.stringify(documents))
    const asked: Asked = { model, documents: file, threads, subjects }
    return this.#start<OurPass>('our scorer', process.execPath, [
      script('ours.ts'),
      JSON.stringify(asked),
    ])
  }

  async #harness(
    dtype: 'float32' | 'bfloat16',
  ): Promise<{ harness: Peer<HarnessPass>; start: number; documents: Document[] }> {
    const { model, shared, threads, documents: count } = this.#options
    const tasks = await harnessTasks(shared, join(this.#scratch, 'rows'), count)
    const argument = JSON.stringify({ dtype, threads, batch: harnessBatch, tasks })
    const harness = this.#python<HarnessPass>('lm-evaluation-harness', [
      script('harness_side.py'),
      model,
      argument,
    ])
    const { start, line } = await harness.begun<{ documents: Document[] }>()
    return { harness, start, documents: line.documents }
  }

  async fp32(): Promise<void> {
    const gemm = await this.#gemm()
    const { ours, harness, documents, starts, memory, shares } = await this.#race('float32', gemm)
    const { figures } = this
    figures.speedup.fp32 = speedup(ours, harness)
    figures.documentsPerSecond.ours = documents.length / median(ours.map((p) => p.seconds))
    figures.documentsPerSecond.fp32 = documents.length / harness.seconds
    const found = agreement(ours[0]!.logLikelihoods, harness.logLikelihoods)
    figures.agreement = found
    figures.tokens = { ours: ours[0]!.tokens, harness: harness.computed }
    figures.memory.ours = memory.ours
    figures.memory.fp32 = memory.harness
    figures.startSeconds = starts
    figures.gemmShare = median(shares)
    const { once, tokens } = ours[0]!.needed
    say(
      `${documents.length} documents, ${documents.reduce((n, d) => n + d.requests.length, 0)} requests. Tokens: ${harness.tokens} as they are asked, ` +
        `${harness.computed} computed by lm-evaluation-harness (padded; letters of a question once), ${once} with each context once, ` +
        `${tokens} with each beginning of a task once, ${ours[0]!.tokens} computed by us.`,
    )
    say(
      `Log-likelihoods differ by at most ${found.maxLogLikelihoodDifference.toExponential(1)}; ${found.flippedDocuments} documents pick another choice.\n`,
    )
    this.#tasks(documents, ours[0]!, harness)
  }

  async bf16(): Promise<void> {
    const { ours, harness, documents, memory } = await this.#race('bfloat16', null)
    const { figures } = this
    figures.speedup.bf16 = speedup(ours, harness)
    figures.documentsPerSecond.ours ??= documents.length / median(ours.map((p) => p.seconds))
    figures.documentsPerSecond.bf16 = documents.length / harness.seconds
    figures.bf16 = agreement(ours[0]!.logLikelihoods, harness.logLikelihoods)
    figures.memory.bf16 = memory.harness
  }

  /** All documents by us, by the harness, and by us again; after each of our passes a round of products. */
  async #race(dtype: 'float32' | 'bfloat16', gemm: Gemm | null) {
    tell(`lm-evaluation-harness in ${dtype} begins`)
    const { harness, start: harnessStart, documents } = await this.#harness(dtype)
    const ours = await this.#ours(documents, [null])
    const start = await ours.ready()
    const [passes, shares]: [OurPass[], number[]] = [[], []]
    const own = async () => {
      const pass = await ours.next()
      passes.push(pass)
      tell(`  ours: ${pass.seconds.toFixed(1)} s`)
      if (gemm) shares.push(gemm.flops(pass) / pass.seconds / (await gemm.rate()))
    }
    await own()
    tell('  now lm-evaluation-harness, which takes some minutes')
    const theirs = await harness.next()
    tell(`  lm-evaluation-harness: ${theirs.seconds.toFixed(1)} s`)
    await own()
    const memory = { ours: (await ours.memory()).peak, harness: (await harness.memory()).peak }
    for (const peer of [ours, harness, gemm?.peer]) await peer?.end()
    const starts = { ours: start, harness: harnessStart }
    return { ours: passes, harness: theirs, documents, starts, memory, shares }
  }

  /** By task: accuracies, and how far log-likelihoods are apart. */
  #tasks(documents: readonly Document[], ours: OurPass, harness: HarnessPass): void {
    const rows = [...Map.groupBy(documents.keys(), (d) => documents[d]!.task)].map(
      ([task, own]) => {
        const pick = <T>(all: readonly T[]) => own.map((d) => all[d]!)
        const [mine, theirs] = [pick(ours.logLikelihoods), pick(harness.logLikelihoods)]
        const found = agreement(mine, theirs)
        return [
          task,
          accuracy(mine, pick(harness.gold)).toFixed(4),
          harness.accuracy[task]!.toFixed(4),
          found.maxLogLikelihoodDifference.toExponential(1),
          String(found.flippedDocuments),
        ]
      },
    )
    say(table(['task', 'acc', 'harness', 'Δ log-likelihood', 'flipped'], rows))
    say()
  }

  /** Products of the forward pass at a run's size, as a limit. */
  async #gemm(): Promise<Gemm> {
    const { model, threads } = this.#options
    const { config } = await openCheckpoint(model)
    const lengths = { prompt: 896, chosen: 64, rejected: 64 }
    const argument = JSON.stringify({ model, threads, lengths })
    const peer = this.#start<Round>('the products', process.execPath, [
      join(import.meta.dirname, '../train/gemm.ts'),
      argument,
    ])
    await peer.ready()
    await peer.next() // warms up
    const forward = gemms(config, lengths).filter(({ name }) => !/(^|: )d /.test(name))
    return {
      peer,
      flops: ({ needed }) => scoringFlops(config, needed),
      rate: async () => {
        const { shapes } = await peer.next()
        return weightedRate(forward.map((g) => ({ gemm: g, flopsPerSecond: shapes[g.name]! })))
      },
    }
  }

  async onepass(): Promise<void> {
    tell('a base model and two adapters in one pass, and one after the other')
    const { harness, documents } = await this.#harness('float32')
    await harness.end()
    const some = documents.filter(({ index }) => index < this.#options.documents / 3)
    const subjects = [null, 1, 2]
    const together = await this.#ours(some, subjects)
    const alone = []
    await together.ready()
    for (const subject of subjects) {
      const peer = await this.#ours(some, [subject])
      await peer.ready()
      alone.push(peer)
    }
    const ratios: number[] = []
    for (let round = 0; round < 2; round++) {
      const one = (await together.next()).seconds
      let sum = 0
      for (const peer of alone) sum += (await peer.next()).seconds
      ratios.push(one / sum)
      tell(`  in one pass ${one.toFixed(1)} s, one after the other ${sum.toFixed(1)} s`)
    }
    const peaks = await Promise.all(alone.map(async (peer) => (await peer.memory()).peak))
    const { peak } = await together.memory()
    this.figures.onePass = { time: median(ratios), memory: peak / Math.max(...peaks) }
    for (const peer of [together, ...alone]) await peer.end()
  }

  async long(): Promise<void> {
    tell('contexts of 2,048 tokens')
    const { shared, model } = this.#options
    const ours = await this.#ours(await longDocuments(shared, await openText(model), 2048), [null])
    await ours.ready()
    await ours.next()
    this.figures.memory.ourLong = (await ours.memory()).peak
    await ours.end()
  }

  async generation(): Promise<void> {
    tell('generation: sides are laid out')
    const { rounds, shared, model } = this.#options
    if (this.#options.llamaCpp === null)
      tell('  without llama.cpp: bench/eval/fetch.sh fetches it into .cache/llama-cpp')
    const sides = await generationSides(
      { ...this.#options, scratch: this.#scratch },
      await prompts(shared, await openText(model), 8),
    )
    const running: {
      side: GenerationSide
      peer: Peer<Generated>
      rates: number[]
      tokens: Generated['tokens']
    }[] = []
    for (const side of sides) {
      const peer = side.python
        ? this.#python<Generated>(side.name, side.args)
        : this.#start<Generated>(side.name, process.execPath, side.args)
      tell(`  ${side.name}, ${side.sequences}: warm after ${(await peer.ready()).toFixed(1)} s`)
      running.push({ side, peer, rates: [], tokens: [] })
    }
    for (let round = 0; round < rounds; round++)
      for (const run of running) {
        const { seconds, tokens } = await run.peer.next()
        run.rates.push(tokens.flat().length / seconds)
        run.tokens = tokens
        tell(`  ${run.side.name}, ${run.side.sequences}: ${run.rates.at(-1)!.toFixed(1)} tokens/s`)
      }
    for (const { peer } of running) await peer.end()

    const find = (key: GenerationSide['key']) => running.find(({ side }) => side.key === key)
    const over = (mine: GenerationSide['key'], theirs: GenerationSide['key']) => {
      const [a, b] = [find(mine)!, find(theirs)]
      return b ? median(a.rates.map((rate, i) => rate / b.rates[i]!)) : null
    }
    this.figures.generation = {
      hf: over('ours8', 'hf8'),
      llamaCpp: over('ours1', 'llamaF32'),
      hfOne: over('ours1', 'hf1'),
      llamaCppF16: over('ours1', 'llamaF16'),
    }
    for (const { side, rates, tokens } of running) {
      this.figures.tokensPerSecond[side.key] = median(rates)
      const ours = find(side.sequences === 1 ? 'ours1' : 'ours8')!.tokens.flat()
      const same = tokens.flat().filter((t, i) => t === ours[i]).length
      if (!side.key.startsWith('ours'))
        say(`${side.name}, ${side.sequences}: ${same} of ${ours.length} tokens are ours`)
    }
  }
}

const speedup = (ours: readonly Pass[], { seconds }: Pass): number =>
  seconds / median(ours.map((pass) => pass.seconds))

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    console.error(`memory is read from /proc: expected Linux, this is ${process.platform}`)
    return 1
  }
  const scratch = await mkdtemp(join(tmpdir(), 'oddsmith-bench-'))
  try {
    const options = await readOptions(process.argv.slice(2), process.env, scratch)
    if (options === 'help') {
      say(usage)
      return 0
    }
    say(`${cpus()[0]?.model}, ${options.threads} threads; ${options.model}\n`)
    const benchmark = new Benchmark(options, scratch, await readFigures(options.json))
    // Sides that are gone reject what waits for them, so what was written is removed.
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void benchmark.end())
    try {
      for (const part of parts) {
        if (!options.only.has(part)) continue
        await benchmark[part]()
        if (options.json !== null)
          await writeFile(options.json, `${JSON.stringify(benchmark.figures, null, 2)}\n`)
      }
    } finally {
      await benchmark.end()
    }
    say(`\n${summary(benchmark.figures)}\n`)
    say(
      'Ratios depend on the CPU: where PyTorch has products in bfloat16 (AMX, AVX512-BF16), or as fast in float32 as onnxruntime’s, it gains. ' +
        'Peaks are VmHWM of the process tree; mapped weights are in it.',
    )
    return 0
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
