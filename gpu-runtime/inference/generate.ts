/**
 * Text generation with a cache of keys and values, by one of two ways of taking steps: on a card many in a run (scanned.ts), on a
 * CPU one (stepped.ts).
 */
import type { LoraSpec } from '#schema/spec.ts'
import { lora } from '../lora/lora.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import type { DecoderConfig } from '../models/config.ts'
import type { ComputeType } from '../onnx/emit.ts'
import type { Engine } from '../onnx/engine.ts'
import { scannedSteps } from './scanned.ts'
import { check, type GenerateOptions, type Prompts, type Subject } from './sequence.ts'
import { steppedSteps } from './stepped.ts'

export type { GenerateOptions } from './sequence.ts'

export type Generator = {
  /**
   * New tokens of each prompt, run by run, in the prompts' order; nothing for a sequence that waits or has ended. What a prompt
   * gets does not depend on the others: its random numbers are those of its own tokens, and of which among equal prompts it is.
   * Throws FormatError when a prompt is empty or does not leave room for `maxTokens` in the model's positions, and an Error while
   * an earlier call is neither at its end nor returned.
   */
  generate(
    prompts: Prompts,
    options: GenerateOptions,
  ): AsyncGenerator<readonly (readonly number[])[], void>
  release(): Promise<void>
}

export type GeneratorOptions = {
  /** Are steps taken inside a run, or each in its own? By default as the device has it. */
  readonly way?: 'SCANNED' | 'STEPPED'
  /** New tokens of a run at most, where steps are taken inside it. */
  readonly slots?: number
  /** Sequences at once, at most. */
  readonly rows?: number
  /** What the arithmetic is done in, on a card; by default as the engine has it. */
  readonly compute?: ComputeType
}

/**
 * For a run of many steps. Each step copies the keys and values of so many slots, and what a sequence does after its stop id is
 * wasted; each run begins with one step's work for nothing, and copies the cache both ways.
 */
const slotsOf = { cpu: 32, cuda: 128 } as const

/** Sequences at once: more make each token cheaper, less and less from here on. */
const mostRows = { cpu: 32, cuda: 128 } as const

/** Bytes of all sequences' keys and values, were each as long as it may become. */
const cacheBytes = { cpu: 2 ** 29, cuda: 2 ** 31 } as const

let opened = 0

/** For a base model, or an adapter on it without merging. `adapter` is flat, as lora.ts orders it. */
export async function openGenerator(
  engine: Engine,
  checkpoint: Checkpoint,
  adapter: { spec: LoraSpec; flat: Float32Array<ArrayBuffer> } | null,
  options: GeneratorOptions = {},
): Promise<Generator> {
  const { config } = checkpoint
  const { device } = engine
  const { way = device === 'cpu' ? 'STEPPED' : 'SCANNED', slots = slotsOf[device] } = options
  const placement = { device, compute: options.compute ?? engine.compute }
  const name = `generator ${++opened}`
  if (adapter) await engine.write(`${name}: adapter`, adapter.flat.slice())
  const resident: Readonly<Record<string, string>> = adapter
    ? { trainables: `${name}: adapter` }
    : {}
  const subject: Subject = {
    checkpoint,
    on: (base) => (adapter ? lora(config, adapter.spec, 0, base) : { parts: base, trainables: [] }),
    resident,
  }
  const steps =
    way === 'STEPPED'
      ? steppedSteps(engine, subject, name)
      : scannedSteps(engine, subject, name, slots, placement)
  let busy = false
  return {
    async *generate(prompts, settings) {
      check(config, prompts, settings)
      if (busy)
        throw new Error(
          'generate: this generator is at work for another call: read that to its end, return it, or open a generator for each',
        )
      busy = true
      try {
        yield* steps.run(
          prompts,
          settings,
          Math.min(
            options.rows ?? mostRows[device],
            rowsFor(config, prompts, settings, cacheBytes[device]),
          ),
        )
      } finally {
        busy = false
      }
    },
    async release() {
      await steps.release()
      await engine.forget([`${name}: adapter`])
    },
  }
}

/** Sequences whose keys and values have room in so many bytes; at least one. */
function rowsFor(
  { layers, kvHeads, headDim }: DecoderConfig,
  prompts: Prompts,
  { maxTokens }: GenerateOptions,
  bytes: number,
): number {
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0) + maxTokens
  return Math.max(1, Math.floor(bytes / (longest * layers * 2 * kvHeads * headDim * 4)))
}
