/**
 * Completions of prompts up to stop texts, as lm-evaluation-harness' `generate_until` gives them one prompt at a time: a sequence
 * ends as soon as one of the texts is in what its last tokens say, and the completion is what stands before it.
 */
import { FormatError } from '../error.ts'
import type { Text } from '../text/text.ts'
import type { Generator } from './generate.ts'
import type { GenerateOptions, Prompts } from './sequence.ts'

export type CompletionOptions = Omit<GenerateOptions, 'stopIds' | 'ended'> & {
  /** Texts that end a completion and are not in it; the model's end of sequence does so in any case. */
  readonly until: readonly string[]
  /** Tokens that do the same. */
  readonly stopIds?: readonly number[]
}

export type Completion = {
  /** Which prompt's. */
  readonly index: number
  readonly text: string
  /** All that were generated, those of the stop text and the end of sequence included. */
  readonly tokens: readonly number[]
}

/** Each prompt's completion when it is finished, so not in the prompts' order. Throws FormatError as `generate` does, and where a stop text is empty. */
export async function* completions(
  generator: Generator,
  text: Pick<Text, 'encode' | 'decode' | 'eosId'>,
  prompts: Prompts,
  options: CompletionOptions,
): AsyncGenerator<Completion, void> {
  const { eosId } = text
  const stopIds = [...new Set([...(eosId === null ? [] : [eosId]), ...(options.stopIds ?? [])])]
  const stops = [
    ...options.until,
    ...stopIds.map((id) => text.decode([id], { skipSpecial: false })),
  ]
  const holds = stopsIn(text, stops)
  const tokens = prompts.map((): number[] => [])
  const settings: GenerateOptions = { ...options, stopIds, ended: (_, made) => holds(made) }
  for await (const made of generator.generate(prompts, settings)) {
    for (const [index, own] of made.entries()) {
      if (own.length === 0) continue
      const all = tokens[index]!
      all.push(...own)
      if (all.length < options.maxTokens && !stopIds.includes(all.at(-1)!) && !holds(all)) continue
      yield { index, text: cut(text.decode(all, { skipSpecial: true }), stops), tokens: all }
    }
  }
}

/** What stands before the stop texts: each in turn cuts at its first place in what the ones before it left. */
const cut = (completion: string, stops: readonly string[]): string =>
  stops.reduce((rest, stop) => rest.split(stop, 1)[0]!, completion)

/**
 * Is one of the texts in what the last tokens say? Of the tokens, as many are looked at as the longest text has and two more, since
 * the model may spell a text by other tokens than the tokenizer does.
 */
function stopsIn(
  text: Pick<Text, 'encode' | 'decode'>,
  stops: readonly string[],
): (tokens: readonly number[]) => boolean {
  if (stops.includes('')) throw new FormatError('until: a stop text is empty')
  const window = 2 + Math.max(0, ...stops.map((stop) => text.encode(stop).length))
  return (tokens) => {
    const said = text.decode(tokens.slice(-window), { skipSpecial: false })
    return stops.some((stop) => said.includes(stop))
  }
}
