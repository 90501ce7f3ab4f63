/**
 * The demo model's tokenizer in Hugging Face's format: byte-level BPE in which every word of the language is one
 * token (`ignore_merges`, as Llama 3 has it: a word that is in the vocabulary is taken whole) and there is nothing
 * to merge, so any other text still encodes, byte by byte, and decodes to itself.
 */
import { animals, ask, comparatives, people } from './language.ts'

const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const

/** ChatML. */
const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** GPT-2's split, which the ByteLevel pre-tokenizer applies. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** GPT-2's printable stand-in for each byte: itself where it is printable, else the next free one from U+0100. */
function byteLetters(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  )
}

/** The words as the pre-tokenizer cuts them out of conversations, in a fixed order. */
function words(): string[] {
  const questions = [null, ...people, ...comparatives, ...animals].map((subject, index) =>
    ask({
      person: people.find((person) => person === subject) ?? null,
      comparative: comparatives[index % 2]!,
      between: [
        0,
        Math.max(
          0,
          animals.findIndex((animal) => animal === subject),
        ),
      ],
    }),
  )
  const texts = ['user', 'assistant', 'the', ...questions]
  return [...new Set(texts.flatMap((text) => text.match(wordPattern)!))]
}

/** `tokenizer.json`. */
export function tokenizerJson() {
  const letters = byteLetters()
  const spell = (word: string) => [...Buffer.from(word)].map((byte) => letters[byte]).join('')
  const tokens = [...new Set([...specialTokens, ...letters, ...words().map(spell)])]
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'ByteLevel',
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [] as [string, string][],
    },
  }
}

/** `tokenizer_config.json`; a rendered conversation starts with the BOS token, so none is ever added. */
export function tokenizerConfig() {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<|im_start|>',
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    add_bos_token: false,
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 128,
    chat_template: chatTemplate,
  }
}
