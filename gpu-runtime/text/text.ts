/** A model's text side: its tokenizer, its special tokens, its chat template. */
import { Tokenizer } from '@huggingface/tokenizers'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FormatError } from '../error.ts'
import { readJsonIfPresent } from '../files/json.ts'
import { chatTemplate, type Message } from './chatTemplate.ts'

export type Text = {
  /** Token ids of the text as it is: special tokens only where the text spells them. */
  encode(text: string): number[]
  decode(ids: readonly number[], options: { skipSpecial: boolean }): string
  readonly bosId: number | null
  readonly eosId: number | null
  readonly padId: number | null
  /**
   * Whether the tokenizer itself puts BOS first (`add_bos_token`, else the post-processor of
   * tokenizer.json).
   */
  readonly addsBos: boolean
  /** One more than the largest token id, added tokens included. */
  readonly vocabularySize: number
  readonly hasTemplate: boolean
  /**
   * A conversation as the model's own template writes it. Throws FormatError where there is none or
   * where it refuses the messages.
   */
  render(messages: readonly Message[], options: { addGenerationPrompt: boolean }): string
}

/** What is used of the library, whose own declarations do not resolve under nodenext. */
type Library = {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: number[] }
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string
  token_to_id(token: string): number | undefined
  get_vocab(withAddedTokens: boolean): Map<string, number>
}

type Json = Readonly<Record<string, unknown>>

/** The files that say how a model reads and writes text, parsed. */
export type TextFiles = {
  readonly directory: string
  readonly tokenizer: unknown
  readonly config: Json
  readonly special: Json
  /** chat_template.jinja. */
  readonly jinja: string | undefined
}

/**
 * Open tokenizer.json, and beside it tokenizer_config.json, special_tokens_map.json and
 * chat_template.jinja where present. `today` is what a template's `strftime_now` sees; see
 * chatTemplate.ts. Throws FormatError naming the file at fault.
 */
export const openText = async (path: string, options: { today?: Date } = {}): Promise<Text> =>
  textOf(await readTextFiles(path), options)

/** Throws FormatError where a file is missing or is no JSON object. */
export async function readTextFiles(path: string): Promise<TextFiles> {
  const directory = resolve(path)
  const [tokenizer, config, special, jinja] = await Promise.all([
    readJsonIfPresent(join(directory, 'tokenizer.json')),
    readObject(join(directory, 'tokenizer_config.json')),
    readObject(join(directory, 'special_tokens_map.json')),
    readIfPresent(join(directory, 'chat_template.jinja')),
  ])
  if (tokenizer === undefined) throw new FormatError(`${directory}: no tokenizer.json`)
  return { directory, tokenizer, config, special, jinja }
}

/** The text side that files describe. Throws FormatError naming the file at fault. */
export function textOf(
  { directory, tokenizer: json, config, special, jinja }: TextFiles,
  options: { today?: Date } = {},
): Text {
  const file = join(directory, 'tokenizer.json')
  const tokenizer = openTokenizer(json, config, file)

  const token = (name: string) =>
    specialToken(config[name] ?? special[name], `${directory}: ${name}`)
  const id = (name: string) => {
    const content = token(name)
    if (content === null) return null
    const found = tokenizer.token_to_id(content)
    if (found === undefined)
      throw new FormatError(`${file}: ${name} ${JSON.stringify(content)} is not in the vocabulary`)
    return found
  }
  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
  const bosId = id('bos_token')
  const specials = Object.fromEntries(
    ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token']
      .map((name) => [name, token(name)] as const)
      .filter(([, content]) => content !== null),
  )
  const template = chatTemplate(jinja ?? config.chat_template, {
    where:
      jinja === undefined
        ? join(directory, 'tokenizer_config.json')
        : join(directory, 'chat_template.jinja'),
    variables: specials,
    ...options,
  })
  return {
    encode,
    decode: (ids, { skipSpecial }) =>
      // The library refuses an empty list.
      ids.length === 0
        ? ''
        : tokenizer.decode([...ids], {
            skip_special_tokens: skipSpecial,
            clean_up_tokenization_spaces: false,
          }),
    bosId,
    eosId: id('eos_token'),
    padId: id('pad_token'),
    addsBos:
      bosId !== null &&
      (typeof config.add_bos_token === 'boolean'
        ? config.add_bos_token
        : tokenizer.encode('').ids[0] === bosId),
    vocabularySize:
      1 +
      tokenizer
        .get_vocab(true)
        .values()
        .reduce((a, b) => Math.max(a, b), -1),
    hasTemplate: template !== null,
    render(messages, renderOptions) {
      if (template === null)
        throw new FormatError(
          `${directory}: no chat template, neither in tokenizer_config.json nor in chat_template.jinja`,
        )
      return template(messages, renderOptions)
    },
  }
}

/** The library checks little: a first encoding finds what it took without a word. */
function openTokenizer(json: unknown, config: Json, file: string): Library {
  if (typeof json !== 'object' || json === null || !('model' in json))
    throw new FormatError(`${file}: expected an object with a "model"`)
  try {
    const tokenizer: Library = new Tokenizer(withAllDigits(json), config)
    const { ids } = tokenizer.encode('a b', { add_special_tokens: false })
    if (!ids.every((id) => Number.isSafeInteger(id) && id >= 0))
      throw new Error('an encoding has tokens without an id')
    return tokenizer
  } catch (cause) {
    throw new FormatError(`${file}: not a usable tokenizer: ${(cause as Error).message}`, { cause })
  }
}

/**
 * The library's `Digits` knows 0 to 9 only. The original splits off every numeric character (U+2154
 * ⅔, for one), which as a `Split` it does here too. Found by comparing SmolLM2 with the original on
 * 600 conversations.
 */
function withAllDigits(json: object): object {
  const replace = (step: unknown): unknown => {
    if (typeof step !== 'object' || step === null) return step
    const { type, individual_digits: single, pretokenizers } = step as Json
    if (type === 'Digits')
      return {
        type: 'Split',
        pattern: { Regex: single === true ? '\\p{N}' : '\\p{N}+' },
        behavior: 'Isolated',
        invert: false,
      }
    return Array.isArray(pretokenizers)
      ? { ...step, pretokenizers: pretokenizers.map(replace) }
      : step
  }
  return { ...json, pre_tokenizer: replace((json as Json).pre_tokenizer) }
}

/** "<s>", or the object { content: "<s>", … } that older files have. */
function specialToken(value: unknown, where: string): string | null {
  if (value == null) return null
  const content = typeof value === 'object' ? (value as Json).content : value
  if (typeof content !== 'string')
    throw new FormatError(`${where} is ${JSON.stringify(value)}, expected a string`)
  return content
}

async function readObject(path: string): Promise<Json> {
  const json = (await readJsonIfPresent(path)) ?? {}
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new FormatError(`${path}: expected a JSON object`)
  return json as Json
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
