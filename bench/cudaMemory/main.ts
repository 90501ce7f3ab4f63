/**
 * The smallest card on which a training step runs, found by bisection on the stub card (test/cuda), beside what the planner says.
 * Weights are holes of the real shapes; allocations are onnxruntime's own. Not in it, as on no card is it ours: the CUDA context,
 * loaded kernels and cuBLAS' workspaces, 0.5 to 1 GB.
 *
 *     npm run bench:cuda-memory [-- --model 8b] [--json]
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { LoraSpec } from '#schema/spec.ts'
import type { Pair } from '#gpu-runtime/data/pair.ts'
import { inNf4, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { planStep } from '#gpu-runtime/training/memory.ts'
import type { Recompute } from '#gpu-runtime/tensor/gradient.ts'
import { Card } from '#test/cuda/card.ts'
import { noProvider } from '#test/cuda/provider.ts'
import { writeEmptyModel, writeEmptyNf4, type ModelShape } from '#gpu-runtime/doctor/emptyModel.ts'

const vocabulary = 128_256

/** Llama-3.2-1B and -3B, Meta-Llama-3-8B, Llama-2-13b. */
const models: Readonly<Record<string, ModelShape>> = {
  '1b': {
    layers: 16,
    hidden: 2048,
    intermediate: 8192,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    vocabulary,
    tiedHead: true,
  },
  '3b': {
    layers: 28,
    hidden: 3072,
    intermediate: 8192,
    heads: 24,
    kvHeads: 8,
    headDim: 128,
    vocabulary,
    tiedHead: true,
  },
  '8b': {
    layers: 32,
    hidden: 4096,
    intermediate: 14_336,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    vocabulary,
    tiedHead: false,
  },
  '13b': {
    layers: 40,
    hidden: 5120,
    intermediate: 13_824,
    heads: 40,
    kvHeads: 40,
    headDim: 128,
    vocabulary: 32_000,
    tiedHead: false,
  },
}

type Case = {
  readonly model: string
  readonly quantization: 'NONE' | 'NF4'
  readonly recompute: Recompute
}

const cases: readonly Case[] = [
  { model: '1b', quantization: 'NF4', recompute: 'LAYER' },
  { model: '1b', quantization: 'NONE', recompute: 'ATTENTION' },
  { model: '3b', quantization: 'NF4', recompute: 'LAYER' },
  { model: '8b', quantization: 'NF4', recompute: 'LAYER' },
  { model: '8b', quantization: 'NF4', recompute: 'ATTENTION' },
  { model: '8b', quantization: 'NONE', recompute: 'LAYER' },
  { model: '13b', quantization: 'NF4', recompute: 'LAYER' },
]

/** Two pairs of 1024 tokens, a prompt of 512 and answers of 512, in one run. */
const tokens = (n: number) => Array.from({ length: n }, (_, i) => i)
const pairs: Pair[] = [0, 1].map((row) => ({
  row,
  prompt: tokens(512),
  chosen: tokens(512),
  rejected: tokens(512),
  cut: { prompt: 0, chosen: 0, rejected: 0 },
}))

const MiB = 2 ** 20
/** Bisection ends at a hundredth of the answer. */
const precision = 0.01

const { values: options } = parseArgs({
  options: { model: { type: 'string' }, json: { type: 'boolean', default: false } },
})
if (options.model !== undefined && !(options.model in models))
  throw new Error(`--model ${options.model}: expected one of ${Object.keys(models).join(', ')}`)
if (noProvider) throw new Error(noProvider)

const lora = LoraSpec.parse({})
const scratch = await mkdtemp(join(tmpdir(), 'oddsmith-sparse-'))
const card = new Card()
try {
  if (!options.json) console.log(heading())
  for (const it of cases) {
    if (options.model !== undefined && it.model !== options.model) continue
    const { planned, free, smallest } = await measure(it)
    console.log(
      options.json
        ? JSON.stringify({ ...it, planned, free, smallest })
        : row(it, planned, free, smallest),
    )
  }
} finally {
  card.remove()
  await rm(scratch, { recursive: true, force: true })
}

async function measure({ model, quantization, recompute }: Case) {
  const directory = join(scratch, model)
  await mkdir(directory, { recursive: true })
  await writeEmptyModel(directory, models[model]!)
  const nf4 = quantization === 'NF4' ? directory : null
  let checkpoint = await openCheckpoint(directory)
  if (nf4 !== null) {
    await writeEmptyNf4(directory, model, models[model]!)
    checkpoint = await inNf4(checkpoint, { revision: model, cache: directory })
  }
  const planned = planStep(checkpoint, lora, recompute, pairs, {
    device: 'cuda',
    compute: 'bfloat16',
  }).total
  const argument = {
    model: directory,
    revision: model,
    nf4,
    compute: 'bfloat16',
    lora,
    recompute,
    pairs,
  } as const
  const free = await card.run('step', argument, { quiet: true })
  if (free.error !== null) throw new Error(`${model} ${quantization} ${recompute}: ${free.error}`)
  let [low, high] = [planned / 2, free.devicePeak]
  while (high - low > precision * high) {
    const memory = Math.round((low + high) / 2)
    const { error } = await card.run('step', argument, { quiet: true, memory })
    if (error === null) high = memory
    else low = memory
  }
  return { planned, free: free.devicePeak, smallest: high }
}

function heading(): string {
  return [
    'MiB of the card for a training step on 2 pairs of 1024 tokens, LoRA r=16 on all linears, computed in bfloat16.',
    '',
    'model  base  recompute  smallest card  planner  difference  with room to spare',
    '─'.repeat(78),
  ].join('\n')
}

function row(
  { model, quantization, recompute }: Case,
  planned: number,
  free: number,
  smallest: number,
): string {
  const mib = (bytes: number, width: number) => (bytes / MiB).toFixed(0).padStart(width)
  const difference = `${((100 * (planned - smallest)) / smallest).toFixed(1)}%`
  const base = quantization === 'NF4' ? 'NF4' : 'bf16'
  return `${model.padEnd(5)}  ${base.padEnd(4)}  ${recompute.padEnd(9)}  ${mib(smallest, 13)}  ${mib(planned, 7)}  ${difference.padStart(10)}  ${mib(free, 18)}`
}
