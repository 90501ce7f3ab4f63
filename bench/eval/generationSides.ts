/** Who generates, and how each is started. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Generation } from './generation.ts'
import type { Options } from './options.ts'

export type GenerationSide = {
  readonly key: 'ours8' | 'hf8' | 'ours1' | 'hf1' | 'llamaF32' | 'llamaF16'
  readonly name: string
  readonly sequences: number
  readonly python: boolean
  readonly args: readonly string[]
}

const maxTokens = 96

/** With all prompts at once, and with the first alone. Writes weights for llama.cpp into the scratch folder. */
export async function generationSides(
  { model, python, llamaCpp, threads, scratch }: Options & { readonly scratch: string },
  prompts: Generation['prompts'],
): Promise<GenerationSide[]> {
  const script = (name: string) => join(import.meta.dirname, name)
  const sides: GenerationSide[] = []
  const few = [prompts.slice(0, 1), prompts] as const
  for (const own of few) {
    const sequences = own.length
    const generation: Generation = { model, prompts: own, maxTokens, threads }
    const [ours, hf] = sequences === 1 ? (['ours1', 'hf1'] as const) : (['ours8', 'hf8'] as const)
    sides.push(
      {
        key: ours,
        name: 'ours',
        sequences,
        python: false,
        args: [script('oursGenerating.ts'), JSON.stringify(generation)],
      },
      {
        key: hf,
        name: 'transformers float32',
        sequences,
        python: true,
        args: [script('generate_side.py'), JSON.stringify({ ...generation, dtype: 'float32' })],
      },
    )
  }
  if (llamaCpp === null) return sides
  const library = join(llamaCpp, 'node_modules/node-llama-cpp')
  for (const [key, precision] of [
    ['llamaF32', 'f32'],
    ['llamaF16', 'f16'],
  ] as const) {
    const file = join(scratch, `${precision}.gguf`)
    await promisify(execFile)(python, [script('gguf_weights.py'), model, file, precision], {
      env: { ...process.env, PYTHONPATH: join(llamaCpp, 'python') },
    })
    const generation = { model, prompts: few[0], maxTokens, threads, file, library }
    sides.push({
      key,
      name: `llama.cpp ${precision}`,
      sequences: 1,
      python: false,
      args: [script('llamaCpp.ts'), JSON.stringify(generation)],
    })
  }
  return sides
}
