/** What every side of generation is asked for and answers. */

/** Greedy, `maxTokens` new ones for each prompt, whatever they are; prompts are token ids. */
export type Generation = {
  readonly model: string
  readonly prompts: readonly (readonly number[])[]
  readonly maxTokens: number
  readonly threads: number
}

/** From prompts to the last new tokens. */
export type Generated = {
  readonly seconds: number
  readonly tokens: readonly (readonly number[])[]
}
