/**
 * `npm run bench:train`: our trainer against TRL's ORPOTrainer with PEFT on the same model, token ids, order, recipe and initial
 * adapter, and against onnxruntime's own matrix products. Sides take turns step by step, so that ratios hold on a machine whose
 * speed drifts; absolute times of different runs are not comparable.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { initial } from '#gpu-runtime/lora/lora.ts'
import { saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { median } from '../median.ts'
import { noFigures } from './figures.ts'
import {
  linearsOf,
  neededFlops,
  streamLength,
  sumFlops,
  totalFlops,
  type Lengths,
  type Sizes,
} from './flops.ts'
import type { Round } from './gemm.ts'
import type { Memory } from '../memory.ts'
import { parts, readOptions, usage, type Options } from './options.ts'
import type { Step } from './ours.ts'
import { Peer } from '../peer.ts'
import { readProfile, type Share } from './profile.ts'
import { table } from '../table.ts'
import { trainSpec, workload, type Setting, type Workload } from './workload.ts'

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const script = (name: string): string => join(import.meta.dirname, name)

/** What a side did: the steps, the one that warms up first. */
type Measured = { readonly start: number; readonly steps: readonly Step[]; readonly memory: Memory }

class Benchmark {
  readonly #options: Options
  readonly #scratch: string
  readonly #config: Sizes
  readonly #workload: Workload
  readonly figures = noFigures()
  readonly #rows: string[][] = []
  readonly #alive = new Set<Peer<unknown>>()

  private constructor(options: Options, scratch: string, config: Sizes, work: Workload) {
    this.#options = options
    this.#scratch = scratch
    this.#config = config
    this.#workload = work
  }

  /** Writes what the other side needs: token ids, and the adapter that training begins with. */
  static async prepare(options: Options, scratch: string): Promise<Benchmark> {
    const checkpoint = await openCheckpoint(options.model)
    const { config } = checkpoint
    const setting = { ...options, recompute: 'ATTENTION', maxSteps: null } as const
    const work = await workload(setting, options.steps + 1)
    const { lora, recipe } = trainSpec(setting)
    await writeFile(join(scratch, 'pairs.json'), JSON.stringify(work.steps))
    await mkdir(join(scratch, 'adapter'), { recursive: true })
    const flat = initial(config, lora, recipe.seed)
    await saveAdapter(join(scratch, 'adapter'), checkpoint, lora, flat, options.model)
    return new Benchmark(options, scratch, config, work)
  }

  #start<T>(...args: ConstructorParameters<typeof Peer<T>>): Peer<T> {
    const peer = new Peer<T>(...args)
    this.#alive.add(peer as Peer<unknown>)
    return peer
  }

  async end(): Promise<void> {
    for (const peer of this.#alive) await peer.end()
  }

  #ours(recompute: Setting['recompute'], maxSteps: number | null, profile: string | null) {
    const { model, dataset, threads } = this.#options
    const setting: Setting = { model, dataset, threads, recompute, maxSteps }
    const argument = JSON.stringify({ ...setting, profile })
    return this.#start<Step>('our trainer', process.execPath, [script('ours.ts'), argument])
  }

  #trl(bf16: boolean, checkpointing: boolean): Peer<Step> | null {
    const { python, model, threads } = this.#options
    if (python === null) return null
    const { recipe, lora } = trainSpec({ ...this.#options, recompute: 'NONE', maxSteps: null })
    const { totalSteps } = this.#workload
    const settings = JSON.stringify({ bf16, checkpointing, threads, totalSteps, recipe, lora })
    const [pairs, adapter] = [join(this.#scratch, 'pairs.json'), join(this.#scratch, 'adapter')]
    return this.#start<Step>(
      'TRL',
      python,
      [script('trl_side.py'), model, pairs, adapter, settings],
      {
        OMP_NUM_THREADS: String(threads),
        HF_HUB_OFFLINE: '1',
        TOKENIZERS_PARALLELISM: 'false',
        TRL_EXPERIMENTAL_SILENCE: '1',
      },
    )
  }

  async #gemm(): Promise<Peer<Round>> {
    const { model, threads } = this.#options
    const argument = JSON.stringify({ model, threads, lengths: meanLengths(this.#workload) })
    const peer = this.#start<Round>('the products', process.execPath, [script('gemm.ts'), argument])
    await peer.ready()
    await peer.next() // warms up
    return peer
  }

  /** Sides start one after the other, then take their steps in turn; all but our own may be absent. */
  async #race(
    startOurs: () => Peer<Step>,
    startTrl: () => Peer<Step> | null,
    gemm: Peer<Round> | null,
  ): Promise<{ ours: Measured; trl: Measured | null; rates: number[] }> {
    const ours = startOurs()
    const ourStart = await ours.ready()
    const trl = startTrl()
    const trlStart = trl ? await trl.ready() : 0
    const [mine, theirs, rates]: [Step[], Step[], number[]] = [[], [], []]
    for (const [i] of this.#workload.steps.entries()) {
      mine.push(await ours.next())
      if (trl) theirs.push(await trl.next())
      if (gemm) rates.push((await gemm.next()).flopsPerSecond)
      say(
        `  step ${i + 1}${i === 0 ? ' (warms up)' : ''}: ${[
          `ours ${mine[i]!.seconds.toFixed(1)} s`,
          ...(trl ? [`TRL ${theirs[i]!.seconds.toFixed(1)} s`] : []),
          ...(gemm ? [`products ${(rates[i]! / 1e9).toFixed(0)} GFLOP/s`] : []),
        ].join(', ')}`,
      )
    }
    const result = {
      ours: { start: ourStart, steps: mine, memory: await ours.memory() },
      trl: trl && { start: trlStart, steps: theirs, memory: await trl.memory() },
      rates,
    }
    for (const peer of [ours, trl, gemm]) await peer?.end()
    return result
  }

  /** Lines of the table of sides. */
  #line(name: string, { start, steps, memory }: Measured, rest: readonly string[] = []): void {
    const measured = steps.length > 1 ? steps.slice(1) : steps
    const at = (step: Step) => this.#workload.steps[step.step - 1]!
    const per = (count: (step: Step) => number) => median(measured.map((s) => count(s) / s.seconds))
    const [ratio = '', share = ''] = rest
    this.#rows.push([
      name,
      per((s) => at(s).length).toFixed(3),
      per((s) => at(s).reduce((n, pair) => n + streamLength(lengthsOf(pair)), 0)).toFixed(0),
      ratio,
      share,
      gigabytes(memory.peak),
      gigabytes(memory.anonymous),
      start.toFixed(1),
    ])
  }

  #share(ours: Measured, rates: readonly number[]): number {
    const shares = ours.steps.map(({ seconds }, i) => {
      const needed = this.#workload.steps[i]!.map((p) => neededFlops(this.#config, lengthsOf(p)))
      return totalFlops(sumFlops(needed)) / seconds / rates[i]!
    })
    return median(shares.slice(1))
  }

  async fp32(): Promise<void> {
    say('ours and TRL in float32, and the products')
    const gemm = await this.#gemm()
    const { ours, trl, rates } = await this.#race(
      () => this.#ours('ATTENTION', null, null),
      () => this.#trl(false, false),
      gemm,
    )
    const share = this.#share(ours, rates)
    this.figures.gemmShare.recomputeOff = share
    this.#fastest(ours)
    this.#line('ours', ours, ['', percent(share)])
    if (!trl) return
    this.figures.speedup.fp32 = speedup(ours, trl)
    this.figures.losses.fp32 = losses(trl)
    this.figures.memory.fastest.trlFp32 = trl.memory.peak
    this.figures.startSeconds.trl = trl.start
    this.#line('TRL float32', trl, [`${this.figures.speedup.fp32.toFixed(2)} x`])
  }

  async bf16(): Promise<void> {
    if (this.#options.python === null) return
    say('ours and TRL in bfloat16')
    const { ours, trl } = await this.#race(
      () => this.#ours('ATTENTION', null, null),
      () => this.#trl(true, false),
      null,
    )
    this.#fastest(ours)
    this.figures.speedup.bf16 = speedup(ours, trl!)
    this.figures.losses.bf16 = losses(trl!)
    this.figures.memory.fastest.trlBf16 = trl!.memory.peak
    this.figures.startSeconds.trl ??= trl!.start
    this.#line('ours, beside bfloat16', ours)
    this.#line('TRL bfloat16', trl!, [`${this.figures.speedup.bf16.toFixed(2)} x`])
  }

  #fastest(ours: Measured): void {
    this.figures.losses.ours ??= losses(ours)
    this.figures.memory.fastest.ours ??= ours.memory.peak
    this.figures.startSeconds.ours ??= ours.start
  }

  /** Whole layers recomputed; then TRL with gradient checkpointing, alone, one step: it is run for its memory. */
  async layer(): Promise<void> {
    say('ours with whole layers recomputed, and the products')
    const gemm = await this.#gemm()
    const { ours, rates } = await this.#race(
      () => this.#ours('LAYER', null, null),
      () => null,
      gemm,
    )
    const share = this.#share(ours, rates)
    this.figures.gemmShare.recomputeOn = share
    this.figures.memory.smallest.ours = ours.memory.peak
    this.#line('ours, layers recomputed', ours, ['', percent(share)])
    const trl = this.#trl(false, true)
    if (!trl) return
    say('TRL in float32 with gradient checkpointing, one step')
    const start = await trl.ready()
    const alone = { start, steps: [await trl.next()], memory: await trl.memory() }
    await trl.end()
    this.figures.memory.smallest.trlFp32 = alone.memory.peak
    this.#line('TRL float32, checkpointing', alone)
  }

  async profile(): Promise<void> {
    say('ours, profiled')
    const ours = this.#ours('ATTENTION', 2, join(this.#scratch, 'profile'))
    await ours.ready()
    // Two steps, and the line that says that the files are written.
    for (let i = 0; i < 3; i++) await ours.next()
    await ours.end()
    const files = (await readdir(this.#scratch)).filter((name) => name.startsWith('profile-1'))
    const { lora } = trainSpec({ ...this.#options, recompute: 'ATTENTION', maxSteps: null })
    const profile = await readProfile(join(this.#scratch, files[0]!), {
      rank: lora.r,
      linears: linearsOf(this.#config),
    })
    const lines = (shares: readonly Share[]) =>
      shares.map((s) => [
        s.name,
        percent(s.microseconds / profile.microseconds),
        (s.microseconds / 1000 / profile.runs).toFixed(1),
        String(Math.round(s.nodes / profile.runs)),
      ])
    say()
    say(
      `${profile.runs} runs of the step's graph; profiling itself costs some microseconds a node.`,
    )
    say(table(['kind', 'share', 'ms a run', 'nodes'], lines(profile.kinds)))
    say()
    say(table(['op', 'share', 'ms a run', 'nodes'], lines(profile.ops.slice(0, 15))))
    say()
  }

  print(): void {
    const head = 'side,pairs/s,useful tokens/s,ours is,of products,peak GB,RssAnon GB,start s'
    if (this.#rows.length > 0) say(`\n${table(head.split(','), this.#rows)}\n`)
    const { ours, ...others } = this.figures.losses
    for (const [name, theirs] of Object.entries(others))
      if (ours && theirs)
        say(
          `losses of TRL ${name} differ from ours by at most ${Math.max(...ours.map((x, i) => Math.abs(theirs[i]! / x - 1))).toExponential(1)} of their value: ours ${shown(ours)}, TRL ${shown(theirs)}`,
        )
    say(
      'Ratios depend on the CPU: where PyTorch has products in bfloat16 (AMX, AVX512-BF16), or as fast in float32 as onnxruntime’s, it gains. ' +
        'Peaks are VmHWM of the process tree; mapped weights are in it, and not in RssAnon.',
    )
  }
}

const lengthsOf = (pair: Record<keyof Lengths, readonly number[]>): Lengths => ({
  prompt: pair.prompt.length,
  chosen: pair.chosen.length - 1,
  rejected: pair.rejected.length - 1,
})

function meanLengths({ steps }: Workload): Lengths {
  const all = steps.flat().map(lengthsOf)
  const mean = (of: (l: Lengths) => number) =>
    Math.max(1, Math.round(all.reduce((n, l) => n + of(l), 0) / all.length))
  return {
    prompt: mean((l) => l.prompt),
    chosen: mean((l) => l.chosen),
    rejected: mean((l) => l.rejected),
  }
}

/** Of steps with the same pairs, the one that warms up left out. */
const speedup = (ours: Measured, trl: Measured): number =>
  median(ours.steps.slice(1).map(({ seconds }, i) => trl.steps[i + 1]!.seconds / seconds))

const losses = ({ steps }: Measured): number[] => steps.map((s) => s.loss)
const shown = (values: readonly number[]): string => values.map((x) => x.toFixed(4)).join(' ')
const percent = (x: number): string => `${(100 * x).toFixed(1)}%`
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)

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
    say(`${cpus()[0]?.model}, ${options.threads} threads; ${options.model}`)
    if (options.python === null) say('without TRL: no Python with it at hand, or not wanted')
    const benchmark = await Benchmark.prepare(options, scratch)
    // Sides that are gone reject what waits for them, so what was written is removed.
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void benchmark.end())
    try {
      for (const part of parts) if (options.only.has(part)) await benchmark[part]()
    } finally {
      await benchmark.end()
    }
    benchmark.print()
    if (options.json !== null)
      await writeFile(options.json, `${JSON.stringify(benchmark.figures, null, 2)}\n`)
    return 0
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
