/**
 * A card that is not there: the engine runs in a process of its own, on onnxruntime's real CUDA provider, on stub libraries that
 * account for memory and copies and compute nothing (stub.c). It proves where nodes are placed, what is copied, that kernels
 * accept their operands, and how much memory the arena wants; not numbers, and not speed.
 */
import { spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { providerFiles, providerFolder, runtimePackage } from './provider.ts'
import type { Design, Scenario } from './scenarios.ts'

/** What the provider links to; the stub stands in for all of them. cuDNN is not among them: it is opened when a kernel asks. */
const libraries = [
  'libcuda.so.1',
  'libcudart.so.13',
  'libcublas.so.13',
  'libcublasLt.so.13',
  'libcurand.so.10',
]

/** The card that the process sees. */
export type CardSettings = {
  /** Bytes; default 80 GiB. */
  readonly memory?: number
  /** Compute capability times ten; default 90. */
  readonly capability?: number
  /** Placements and hidden copies are read off onnxruntime's log, which a large graph need not write. */
  readonly quiet?: boolean
}

/** Bytes of each copy between host and card. */
export type Transfers = { readonly toDevice: readonly number[]; readonly toHost: readonly number[] }

export type Report = {
  /** What was thrown, or null. */
  readonly error: string | null
  /** Nodes by provider, of each session in the order of opening. */
  readonly sessions: readonly Readonly<Record<string, number>>[]
  /** Copies that onnxruntime added to the graph. */
  readonly memcpy: readonly string[]
  /** Operators that the provider has no kernel for; of functions that are inlined later, too. */
  readonly noKernel: readonly string[]
  /** What was copied after each mark that the scenario made, up to the next, and what should have been if it was a run. */
  readonly phases: readonly ({ readonly mark: string; readonly design?: Design } & Transfers)[]
  /** Bytes of the card that were in use at most. */
  readonly devicePeak: number
}

/** Stub libraries and a copy of onnxruntime-node with the provider in it, until `remove`. */
export class Card {
  readonly #folder = mkdtempSync(join(tmpdir(), 'oddsmith-card-'))
  #runs = 0

  constructor() {
    const stub = join(this.#folder, 'libstub.so')
    const here = import.meta.dirname
    const map = `-Wl,--version-script=${join(here, 'stub.map')}`
    const flags = [
      '-O1',
      '-shared',
      '-fPIC',
      '-w',
      map,
      join(here, 'stub.c'),
      '-o',
      stub,
      '-lpthread',
    ]
    const cc = spawnSync('cc', flags, { encoding: 'utf8' })
    if (cc.status !== 0) throw new Error(`cc ${flags.join(' ')}: ${cc.stderr}`)
    for (const name of libraries) symlinkSync(stub, join(this.#folder, name))

    // Real files: Node resolves links, and onnxruntime looks for the provider beside its own library.
    const modules = join(this.#folder, 'node_modules')
    const copy = join(modules, 'onnxruntime-node')
    const [api] = readdirSync(join(runtimePackage, 'bin'))
    const binaries = join('bin', api!, 'linux/x64')
    mkdirSync(copy, { recursive: true })
    for (const part of ['package.json', 'dist', binaries])
      cpSync(join(runtimePackage, part), join(copy, part), { recursive: true })
    symlinkSync(
      join(dirname(runtimePackage), 'onnxruntime-common'),
      join(modules, 'onnxruntime-common'),
    )
    for (const file of providerFiles) {
      rmSync(join(copy, binaries, file), { force: true })
      symlinkSync(join(providerFolder, file), join(copy, binaries, file))
    }
  }

  /** Run a scenario on the card. What fails in it is in the report; a process that dies is an error. */
  async run<S extends Scenario['name']>(
    name: S,
    argument: Extract<Scenario, { name: S }>['argument'],
    { memory, capability, quiet = false }: CardSettings = {},
  ): Promise<Report> {
    const log = join(this.#folder, `run${this.#runs++}.jsonl`)
    const child = spawn(
      process.execPath,
      [
        `--import=${join(import.meta.dirname, 'resolve.ts')}`,
        join(import.meta.dirname, 'child.ts'),
        JSON.stringify({ name, argument }),
      ],
      {
        stdio: ['ignore', 'inherit', 'pipe'],
        env: {
          ...process.env,
          LD_LIBRARY_PATH: this.#folder,
          ONNXRUNTIME_WITH_CUDA: join(this.#folder, 'node_modules/onnxruntime-node/dist/index.js'),
          CUDA_STUB_LOG: log,
          ...(quiet ? {} : { ONNXRUNTIME_LOG: '1' }),
          ...(memory === undefined ? {} : { CUDA_STUB_MEMORY: String(memory) }),
          ...(capability === undefined ? {} : { CUDA_STUB_CAPABILITY: String(capability) }),
        },
      },
    )
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const [code, killed] = (await once(child, 'close')) as [number | null, string | null]
    if (code !== 0)
      throw new Error(
        `${name} on the stub card ended with ${killed ?? code}: ${stderr.slice(-2000)}`,
      )
    return { ...readPlacement(stderr), ...readLog(readFileSync(log, 'utf8')) }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** onnxruntime's verbose log. */
function readPlacement(log: string): Pick<Report, 'sessions' | 'memcpy' | 'noKernel'> {
  const sessions: Record<string, number>[] = []
  // One line when a provider has all nodes; else one for each provider, under a heading.
  for (const [, all, provider, count] of log.matchAll(
    /VerifyEachNodeIsAssignedToAnEp\]\s+(?:(All nodes)|Node\(s\)) placed on \[(\w+)\]\. Number of nodes: (\d+)/g,
  )) {
    const last = sessions.at(-1)
    if (all || !last || provider! in last || 'all' in last) sessions.push({})
    sessions.at(-1)![provider!] = Number(count)
  }
  const found = (pattern: RegExp) => [...log.matchAll(pattern)].map((m) => m[1]!)
  return {
    sessions,
    memcpy: found(/AddCopyNode\] (Add Memcpy\w+ (?:before|after) \S+)/g),
    noKernel: [...new Set(found(/CUDA kernel not found in registries for Op type: (\w+)/g))],
  }
}

type Line = {
  readonly mark?: string
  readonly run?: Design
  readonly copy?: keyof Transfers
  readonly bytes?: number
  readonly error?: string
  readonly totals?: { readonly devicePeak: number }
}

function readLog(text: string): Pick<Report, 'error' | 'phases' | 'devicePeak'> {
  const phases: { mark: string; design?: Design; toDevice: number[]; toHost: number[] }[] = []
  let error: string | null = null
  let devicePeak = 0
  for (const row of text.trim().split('\n')) {
    const line = JSON.parse(row) as Line
    if (line.mark !== undefined) phases.push({ mark: line.mark, toDevice: [], toHost: [] })
    if (line.run) phases.at(-1)!.design = line.run
    if (line.copy) phases.at(-1)?.[line.copy].push(line.bytes!)
    if (line.error !== undefined) error = line.error
    if (line.totals) ({ devicePeak } = line.totals)
  }
  return { error, phases, devicePeak }
}
