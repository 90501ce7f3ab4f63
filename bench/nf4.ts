/**
 * `npm run bench:nf4`: the peak memory of training on a base model in NF4 against the same base in float32 and in bfloat16, and what
 * quantizing costs at the first start and at the second. The trainer that jobs run, each base in a process of its own.
 */
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { readTensor, streamSafetensors, type TensorPlan } from '#gpu-runtime/files/safetensors.ts'
import { openCheckpoint, type Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import type { TrainSpec } from '#schema/spec.ts'
import type { Memory } from './memory.ts'
import { unpack } from './smollm2.ts'
import type { Step } from './train/ours.ts'
import { Peer } from './peer.ts'
import { table } from './table.ts'
import type { Setting } from './train/workload.ts'

const usage = `usage: npm run bench:nf4 -- [options]

  --model DIR        a model in Hugging Face layout, in bfloat16   (default: SmolLM2-135M of $ODDSMITH_SHARED)
  --dataset FILE     preference rows                               (default: the 300 multi-turn rows of $ODDSMITH_SHARED)
  --recompute A,B    ATTENTION, LAYER                              (default: both)
  --steps N          optimizer steps of each process               (default: 2; the last is timed)
  --threads N        (default: all cores)
`

type Recompute = TrainSpec['engine']['recompute']
type Measured = {
  /** Seconds from the start of the process to the first run of the graph. */
  readonly start: number
  readonly step: Step
  readonly loss: number
  readonly memory: Memory
}

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)

async function measure(setting: Setting, steps: number): Promise<Measured> {
  const script = join(import.meta.dirname, 'train/ours.ts')
  const argument = JSON.stringify({ ...setting, profile: null })
  const peer = new Peer<Step>('the trainer', process.execPath, [script, argument])
  try {
    const start = await peer.ready()
    const first = await peer.next()
    let step = first
    for (let i = 1; i < steps; i++) step = await peer.next()
    return { start, step, loss: first.loss, memory: await peer.memory() }
  } finally {
    await peer.end()
  }
}

/** The model in a folder of its own, file by file a link: nothing is written beside the original. */
async function linked(model: string, folder: string): Promise<string> {
  await mkdir(folder)
  for (const entry of await readdir(model, { withFileTypes: true }))
    if (!entry.isDirectory()) await symlink(join(model, entry.name), join(folder, entry.name))
  return folder
}

/** The model with every weight in float32. */
async function widened({ tensors }: Checkpoint, model: string, folder: string): Promise<string> {
  await linked(model, folder)
  for (const name of await readdir(folder))
    if (name.includes('.safetensors')) await rm(join(folder, name))
  const all = [...tensors.values()]
  const plans = all.map(({ name, shape }): TensorPlan => ({ name, shape, dtype: 'F32' }))
  async function* data() {
    for (const info of all) yield new Uint8Array((await readTensor(info)).buffer)
  }
  await streamSafetensors(join(folder, 'model.safetensors'), plans, data())
  return folder
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    console.error(`memory is read from /proc: expected Linux, this is ${process.platform}`)
    return 1
  }
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      dataset: { type: 'string' },
      recompute: { type: 'string', default: 'ATTENTION,LAYER' },
      steps: { type: 'string', default: '2' },
      threads: { type: 'string', default: String(availableParallelism()) },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    say(usage)
    return 0
  }
  const scratch = await mkdtemp(join(tmpdir(), 'oddsmith-bench-'))
  try {
    const shared = resolve(process.env.ODDSMITH_SHARED ?? join(import.meta.dirname, '../../shared'))
    const model = resolve(values.model ?? (await unpack(shared, scratch)))
    const dataset = resolve(
      values.dataset ?? join(shared, 'data/preference-chatml/dpo_en_demo.chatml.jsonl'),
    )
    const checkpoint = await openCheckpoint(model)
    const float32 = await widened(checkpoint, model, join(scratch, 'float32'))
    const nf4 = await linked(model, join(scratch, 'nf4'))
    const dtype = [...checkpoint.tensors.values()][0]!.dtype
    const rows: string[][] = []
    const ratios: string[] = []
    for (const recompute of values.recompute.split(',') as Recompute[]) {
      const common = { dataset, recompute, threads: Number(values.threads), maxSteps: null }
      const steps = Number(values.steps)
      const run = async (name: string, setting: Setting) => {
        say(`${name}, recompute ${recompute}`)
        const measured = await measure(setting, steps)
        rows.push([
          `${name}, ${recompute}`,
          gigabytes(measured.memory.peak),
          gigabytes(measured.memory.anonymous),
          measured.start.toFixed(1),
          measured.step.seconds.toFixed(1),
          measured.loss.toFixed(4),
        ])
        return measured
      }
      const full = await run('float32', { ...common, model: float32 })
      const stored = await run(`as stored (${dtype})`, { ...common, model })
      const four = await run('NF4', { ...common, model: nf4, quantization: 'NF4' })
      const ratio = ({ memory }: Measured) => (four.memory.peak / memory.peak).toFixed(2)
      ratios.push(
        `recompute ${recompute}: the peak with NF4 is ${ratio(full)} of that with float32, ${ratio(stored)} of that as stored (${dtype})`,
      )
    }
    const head = ['base', 'peak GB', 'RssAnon GB', 'start s', 's a step', 'first loss']
    say(`\n${table(head, rows)}\n\n${ratios.join('\n')}`)
    say(
      `${basename(model)}: the first start with NF4 quantizes, later ones do not. Peaks are VmHWM, mapped weights included.`,
    )
    return 0
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

process.exitCode = await main()
