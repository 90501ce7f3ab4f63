/**
 * ChatML for a tokenizer without a chat template, as TRL's `setup_chat_format`: turns are `<|im_start|>role`, a line break, the
 * content, `<|im_end|>` and a line break; BOS becomes `<|im_start|>`, EOS and padding `<|im_end|>`. Tokens that the vocabulary
 * lacks get the ids after its last one.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../error.ts'
import { readTextFiles, textOf, type Text, type TextFiles } from './text.ts'

const [start, end] = ['<|im_start|>', '<|im_end|>']

const template = `{% for message in messages %}{{ '${start}' + message['role'] + '\\n' + message['content'] + '${end}' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '${start}assistant\\n' }}{% endif %}`

/** Files of the tokenizer that go with an adapter, for `AutoTokenizer.from_pretrained`. */
export const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
] as const

export type ChatMl = {
  readonly text: Text
  /** Tokens of the vocabulary before any were added: the id of the first of them. */
  readonly vocabulary: number
  /** How many were added. */
  readonly addedTokens: number
  /** Write `tokenizerFiles` into a directory. */
  save(directory: string): Promise<void>
}

/** The text side of a model directory, with ChatML in the place of a template. Throws FormatError as openText does. */
export async function openChatMl(path: string): Promise<ChatMl> {
  const before = await readTextFiles(path)
  const { vocabularySize: vocabulary } = textOf(before)
  const files = withChatMl(before, vocabulary)
  const text = textOf(files)
  return {
    text,
    vocabulary,
    addedTokens: text.vocabularySize - vocabulary,
    async save(directory) {
      const contents = [files.tokenizer, files.config, files.special]
      for (const [i, name] of tokenizerFiles.entries())
        await writeFile(join(directory, name), `${JSON.stringify(contents[i], null, 2)}\n`)
    },
  }
}

type Json = Readonly<Record<string, unknown>>
type AddedToken = { readonly id: number; readonly content: string }

function withChatMl(files: TextFiles, vocabulary: number): TextFiles {
  const tokenizer = files.tokenizer as Json
  const listed = (tokenizer.added_tokens ?? []) as readonly AddedToken[]
  if (!Array.isArray(listed))
    throw new FormatError(`${files.directory}/tokenizer.json: added_tokens: expected a list`)
  const { model } = tokenizer as { model: { vocab: unknown } }
  let next = vocabulary
  const added = [start, end]
    .filter((content) => !listed.some((token) => token.content === content))
    .map((content) => ({
      id: idIn(model.vocab, content) ?? next++,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }))
  const special = { bos_token: start, eos_token: end, pad_token: end }
  const decoder = files.config.added_tokens_decoder as Json | undefined
  return {
    ...files,
    tokenizer: { ...tokenizer, added_tokens: [...listed, ...added] },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...files.config,
      ...special,
      ...(decoder === undefined
        ? {}
        : {
            added_tokens_decoder: {
              ...decoder,
              ...Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
            },
          }),
      chat_template: template,
    },
    special: { ...files.special, ...special },
    jinja: undefined,
  }
}

/** By a tokenizer's kind the vocabulary maps tokens to ids, or lists [token, score]. */
function idIn(vocabulary: unknown, content: string): number | null {
  if (!Array.isArray(vocabulary)) return (vocabulary as Record<string, number>)[content] ?? null
  const at = (vocabulary as [string, number][]).findIndex(([token]) => token === content)
  return at === -1 ? null : at
}
