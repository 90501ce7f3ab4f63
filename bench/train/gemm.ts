/**
 * The limit: onnxruntime's matrix products at the model's own shapes, through the engine that trains, in float32. One round over all
 * shapes per line of standard input, answered by the FLOP-weighted rate. Argument: { model, threads, lengths } as JSON.
 */
import { createInterface } from 'node:readline'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { add, constant, input, matmul, reshape, rows } from '#gpu-runtime/tensor/ops.ts'
import type { Lengths } from './flops.ts'
import { flopsOf, gemms, weightedRate, type Gemm } from './gemmShapes.ts'

/** Products in one run, so that it takes long against its call. */
const flopsPerRun = 2e10
const most = 16

/** A round as it is reported: FLOP/s. */
export type Round = { readonly flopsPerSecond: number; readonly shapes: Record<string, number> }

const { model, threads, lengths } = JSON.parse(process.argv[2]!) as {
  model: string
  threads: number
  lengths: Lengths
}
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const engine = new Engine(threads)
const { config } = await openCheckpoint(model)
const written = new Set<string>()

/** A vector of the engine by its length: what is in it does not matter, as long as it is no denormal number. */
async function vector(length: number, which: string): Promise<string> {
  const name = `${which}${length}`
  if (!written.has(name))
    await engine.write(
      name,
      Float32Array.from({ length }, (_, i) => ((i * 7919) % 1024) / 512 - 1),
    )
  written.add(name)
  return name
}

/** Seconds of one product: several on different right-hand sides, as layers are, of whose results only a row is looked at. */
async function prepare(gemm: Gemm): Promise<() => Promise<number>> {
  const { batch, rows: m, inner, columns, transA, transB } = gemm
  const copies = Math.max(1, Math.min(most, Math.round(flopsPerRun / flopsOf(gemm))))
  const left = [...batch, ...(transA ? [inner, m] : [m, inner])]
  const right = [...batch, ...(transB ? [columns, inner] : [inner, columns])]
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
  const flat = (name: string, shape: readonly number[]) =>
    reshape(input(name, [size(shape)]), shape)
  const resident: Record<string, string> = { a: await vector(size(left), 'a') }
  const a = flat('a', left)
  const seen = []
  for (let i = 0; i < copies; i++) {
    resident[`b${i}`] = await vector(size(right), `b${i}:`)
    const y = matmul(a, flat(`b${i}`, right), { transA, transB })
    seen.push(rows(reshape(y, [size(batch) * m, columns]), constant([0], [1], 'int64')))
  }
  const graph = emit({ outputs: { seen: seen.reduce((x, y) => add(x, y)) } }, (name) => {
    throw new Error(`internal: a product has no weight "${name}"`)
  })
  const session = await engine.open(graph)
  return async () => {
    const begin = performance.now()
    await session.run({}, { resident })
    return (performance.now() - begin) / 1000 / copies
  }
}

const products = []
for (const gemm of gemms(config, lengths)) products.push({ gemm, seconds: await prepare(gemm) })

say({ at: Date.now() / 1000 })
for await (const _ of createInterface({ input: process.stdin })) {
  const measured = []
  for (const { gemm, seconds } of products) {
    await seconds() // warms up
    const best = Math.min(await seconds(), await seconds())
    measured.push({ gemm, flopsPerSecond: flopsOf(gemm) / best })
  }
  say({
    flopsPerSecond: weightedRate(measured),
    shapes: Object.fromEntries(measured.map((m) => [m.gemm.name, m.flopsPerSecond])),
  } satisfies Round)
}
await engine.close()
