/**
 * GSM8K (Cobbe et al. 2021): school mathematics, answered by writing. An answer ends in `#### 18`.
 *
 *     strict     the number after the first "#### "
 *     flexible   the last number of the response, whatever stands around it
 *
 * Numbers are compared as texts without commas and dollars, and less one full stop at the end.
 */
import { strip } from '../python.ts'
import { columns } from './columns.ts'
import type { Dialects, GenerationDocument, GenerationTask } from './task.ts'

const stated = /#### (-?[0-9.,]+)/
/** An amount of at least two characters, else an integer. */
const number = /-?[$0-9.,]{2,}|-?[0-9]+/g

/** What the harness takes where nothing was found. It equals no answer. */
const invalid = '[invalid]'

const strictly = (response: string): string => stated.exec(response)?.[1] ?? invalid
const flexibly = (response: string): string => response.match(number)?.at(-1) ?? invalid

/** What is left to compare: of an answer with its reasoning, what stands after the last "#### ". */
function normal(text: string): string {
  const plain = text.replaceAll(/[,$]/g, '')
  const end = plain.slice(plain.lastIndexOf('#### ') === -1 ? 0 : plain.lastIndexOf('#### ') + 5)
  return end.replaceAll(/\.(?=\n?$)/g, '').toLowerCase()
}

const matches = (found: string, { target }: GenerationDocument): number =>
  Number(normal(found) === normal(target))

const now: GenerationTask = {
  kind: 'generate_until',
  until: ['Question:', '</s>', '<|im_end|>'],
  maxTokens: 256,
  document(value, row) {
    const { text } = columns(value, row, 'gsm8k')
    return { text: `Question: ${text('question')}\nAnswer:`, target: text('answer') }
  },
  judge: (document, response) => ({
    scores: {
      exact_match_strict: matches(strictly(response), document),
      exact_match_flexible: matches(flexibly(response), document),
    },
  }),
}

/** 0.3.0 asks for one line, and calls what is strict `acc`: equal numbers as texts, commas apart. */
const before: GenerationTask = {
  ...now,
  until: ['\n'],
  document(value, row, text) {
    const document = now.document(value, row, text)
    if (!stated.test(document.target))
      throw columns(value, row, 'gsm8k').fail('answer has no "#### " and number, expected one')
    return document
  },
  judge({ target }, response) {
    const answer = (text: string) => strip(strictly(text)).replaceAll(',', '')
    return { scores: { exact_match_strict: Number(answer(response) === answer(target)) } }
  },
}

export const gsm8k: Dialects = { LM_EVAL: now, NOUS: before }
