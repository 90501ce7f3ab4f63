/** What is asked of generation, and a sequence on its way: the same for all ways of taking steps. */
import { FormatError } from '../error.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import type { DecoderConfig } from '../models/config.ts'
import type { Parts } from '../models/decoder.ts'
import { stream as random } from '../random.ts'
import { floats, type Feeds } from '../tensor/feed.ts'
import type { Tensor } from '../tensor/tensor.ts'

export type Sampling = {
  /** Logits are divided by it; 0: always the most probable token. */
  readonly temperature: number
  /** Of the most probable tokens, those before whose probabilities reach it. 1: all. */
  readonly topP?: number
  /** How many of the most probable tokens; 0: all. */
  readonly topK?: number
  readonly seed?: number
}

export type GenerateOptions = Sampling & {
  /** New tokens a sequence, at least 1. */
  readonly maxTokens: number
  /** Each ends its sequence and is its last token. */
  readonly stopIds: readonly number[]
  /** Asked after each new token of a prompt's sequence, with all of them: is it the last? */
  readonly ended?: (prompt: number, tokens: readonly number[]) => boolean
  readonly signal?: AbortSignal
}

export type Prompts = readonly (readonly number[])[]

/** Throws FormatError when a prompt or a setting cannot be. */
export function check(
  { maxPositions, vocabulary, addedTokens }: DecoderConfig,
  prompts: Prompts,
  { maxTokens, temperature, topP = 1, topK = 0 }: GenerateOptions,
): void {
  prompts.forEach((prompt, i) => {
    if (prompt.length === 0)
      throw new FormatError(`prompt ${i}: empty, expected at least one token`)
    const wrong = prompt.find(
      (id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary + addedTokens),
    )
    if (wrong !== undefined)
      throw new FormatError(
        `prompt ${i}: token ${wrong}, expected 0 to ${vocabulary + addedTokens - 1}`,
      )
    if (prompt.length + maxTokens > maxPositions)
      throw new FormatError(
        `prompt ${i}: ${prompt.length} tokens and ${maxTokens} new ones, the model has ${maxPositions} positions`,
      )
  })
  const expected = (name: string, value: number, holds: boolean, what: string) => {
    if (!holds) throw new FormatError(`${name}: expected ${what}, got ${value}`)
  }
  expected('maxTokens', maxTokens, Number.isInteger(maxTokens) && maxTokens > 0, '1 or more')
  expected('temperature', temperature, temperature >= 0 && temperature < Infinity, '0 or more')
  expected('topP', topP, topP > 0 && topP <= 1, 'more than 0, at most 1')
  expected('topK', topK, Number.isInteger(topK) && topK >= 0, '0 or more')
}

/** A prompt and what was made of it. */
export class Sequence {
  readonly index: number
  readonly prompt: readonly number[]
  readonly made: number[] = []
  readonly uniform: (counter: number) => number

  constructor(index: number, prompt: readonly number[], uniform: (counter: number) => number) {
    this.index = index
    this.prompt = prompt
    this.uniform = uniform
  }

  /** The token that is read next. */
  get last(): number {
    return (this.made.at(-1) ?? this.prompt.at(-1))!
  }

  /** Tokens before it: its position. */
  get before(): number {
    return this.prompt.length - 1 + this.made.length
  }

  /** Takes new tokens up to its last one. */
  take(
    tokens: readonly number[],
    { maxTokens, stopIds, ended }: GenerateOptions,
  ): { readonly own: readonly number[]; readonly goesOn: boolean } {
    for (const [t, token] of tokens.entries()) {
      this.made.push(token)
      const last =
        stopIds.includes(token) ||
        this.made.length === maxTokens ||
        (ended?.(this.index, this.made) ?? false)
      if (last) return { own: tokens.slice(0, t + 1), goesOn: false }
    }
    return { own: tokens, goesOn: true }
  }
}

/** One for each prompt; its random numbers are those of its own tokens, and of which among equal prompts it is. */
export function sequencesOf(prompts: Prompts, seed: number): Sequence[] {
  const occurrences = new Map<string, number>()
  return prompts.map((prompt, index) => {
    const own = prompt.join()
    const occurrence = occurrences.get(own) ?? 0
    occurrences.set(own, occurrence + 1)
    const { uniform } = random(seed, `generate/${occurrence}/${own}`)
    return new Sequence(index, prompt, uniform)
  })
}

/** The largest float32 below 1. */
const belowOne = 1 - 2 ** -24

/** Feeds of what draws the next `steps` tokens; null stands for a row without a sequence. */
export function drawFeeds(
  sequences: readonly (Sequence | null)[],
  steps: number,
  { temperature, topP = 1 }: Sampling,
): { readonly temperature: Feeds[string]; readonly topP: Feeds[string]; uniform: number[] } {
  return {
    temperature: floats([temperature], []),
    topP: floats([topP], []),
    uniform: Array.from({ length: steps }, (_, t) =>
      sequences.map((s) => (s ? Math.min(s.uniform(s.made.length + t), belowOne) : 0)),
    ).flat(),
  }
}

/** The model that generates. `resident` is the vector of its trainables. */
export type Subject = {
  readonly checkpoint: Checkpoint
  /** Its parts, on a base model's. */
  on(base: Parts): { readonly parts: Parts; readonly trainables: readonly Tensor[] }
  readonly resident: Readonly<Record<string, string>>
}

/** A way of taking steps. */
export type Steps = {
  /** New tokens of each prompt, run by run, of `rows` prompts at once at most. */
  run(
    prompts: Prompts,
    options: GenerateOptions,
    rows: number,
  ): AsyncGenerator<readonly (readonly number[])[], void>
  release(): Promise<void>
}

/** Of the candidates for a token, how many a graph has to sort. */
export function candidatesOf(
  { vocabulary, addedTokens }: DecoderConfig,
  { temperature, topK = 0 }: Sampling,
): number {
  const tokens = vocabulary + addedTokens
  return temperature === 0 ? 1 : topK === 0 ? tokens : Math.min(topK, tokens)
}
