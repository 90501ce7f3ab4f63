/**
 * Our side of generation: all prompts at once per line of standard input. First line out: { at }, when all had been answered once;
 * then a Generated per line. Argument: a Generation as JSON.
 */
import { createInterface } from 'node:readline'
import { openGenerator } from '#gpu-runtime/inference/generate.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import type { Generated, Generation } from './generation.ts'

const { model, prompts, maxTokens, threads } = JSON.parse(process.argv[2]!) as Generation
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const engine = new Engine(threads)
const generator = await openGenerator(engine, await openCheckpoint(model), null)

async function generate(most: number): Promise<Generated> {
  const begin = performance.now()
  const tokens: number[][] = prompts.map(() => [])
  for await (const run of generator.generate(prompts, {
    maxTokens: most,
    temperature: 0,
    stopIds: [],
  }))
    run.forEach((more, i) => tokens[i]!.push(...more))
  return { seconds: (performance.now() - begin) / 1000, tokens }
}

await generate(8) // warms up
say({ at: Date.now() / 1000 })
for await (const _ of createInterface({ input: process.stdin })) say(await generate(maxTokens))
await engine.close()
