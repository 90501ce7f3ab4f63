/**
 * llama.cpp's side of generation, through node-llama-cpp, one sequence at a time. One line out per line of standard input, after
 * { at }: seconds and new tokens. Argument: a Generation with `file`, the weights in GGUF, and `library`, node-llama-cpp's folder.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Generated, Generation } from './generation.ts'

/** What is used of node-llama-cpp, which is not installed with the project. */
type Library = {
  readonly getLlama: (options: object) => Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{ getSequence(): Sequence }>
    }>
  }>
}
type Sequence = {
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>
  clearHistory(): Promise<void>
}

const { file, library, prompts, maxTokens, threads } = JSON.parse(
  process.argv[2]!,
) as Generation & {
  file: string
  library: string
}
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const { exports } = JSON.parse(await readFile(join(library, 'package.json'), 'utf8')) as {
  exports: { '.': { import: string } }
}
const { getLlama } = (await import(join(library, exports['.'].import))) as Library
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: threads,
})
const model = await llama.loadModel({ modelPath: file })
const contextSize = Math.max(...prompts.map((p) => p.length)) + maxTokens + 8
const context = await model.createContext({
  contextSize,
  threads: { ideal: threads, min: threads },
})
const sequence = context.getSequence()

async function generate(prompt: readonly number[], most: number): Promise<number[]> {
  await sequence.clearHistory()
  const tokens: number[] = []
  // Tokens that end a text are no end here: every side makes the same number.
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    tokens.push(token)
    if (tokens.length === most) break
  }
  return tokens
}

await generate(prompts[0]!, 8) // warms up
say({ at: Date.now() / 1000 })
for await (const _ of createInterface({ input: process.stdin })) {
  const begin = performance.now()
  const tokens = []
  for (const prompt of prompts) tokens.push(await generate(prompt, maxTokens))
  say({ seconds: (performance.now() - begin) / 1000, tokens } satisfies Generated)
}
process.exit(0)
