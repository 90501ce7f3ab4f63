/**
 * Prompts: what a document is asked with, put together as lm-evaluation-harness does it.
 *
 *     plain      system⏎⏎description question₁ answer₁⏎⏎question₂ answer₂⏎⏎question|
 *     template   system: …, user: question₁, assistant: answer₁, …, user: question   (examples as turns)
 *                system: …, user: question₁ answer₁⏎⏎ … question                     (examples in one turn)
 */
import type { EvaluationSettings } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import type { Message } from '../text/chatTemplate.ts'
import type { Text } from '../text/text.ts'
import type { PythonRandom } from './pythonRandom.ts'
import type {
  ChoiceDocument,
  ChoiceTask,
  GenerationDocument,
  GenerationTask,
} from './tasks/task.ts'

export type Asked = ChoiceTask | GenerationTask
export type Style = Pick<
  EvaluationSettings,
  'chatTemplate' | 'fewShotAsMultiturn' | 'systemInstruction'
>

/** A solved question. */
export type Example = { readonly question: string; readonly answer: string }

/** What a document shows when it is an example: of several questions the one whose answer is right. */
export function exampleOf(document: ChoiceDocument | GenerationDocument): Example {
  if ('target' in document) return { question: document.text, answer: document.target }
  const right = document.gold[0]!
  const { text, choices } = document
  return { question: typeof text === 'string' ? text : text[right]!, answer: choices[right]! }
}

/** Between a context and each continuation. */
export const delimiterOf = (task: Asked, { chatTemplate }: Style): string =>
  chatTemplate || task.kind === 'loglikelihood' ? '' : (task.delimiter ?? ' ')

/**
 * The context that asks `question` after `examples`. Throws FormatError where the model has no chat
 * template or it refuses the messages; one that refuses only a system message is asked without it.
 */
export function contextOf(
  task: Asked,
  question: string,
  examples: readonly Example[],
  style: Style,
  text: Text,
): string {
  const { delimiter = ' ', separator = '\n\n', description = '' } = task
  const system = joined(style.systemInstruction ?? '', description, separator)
  const shown = examples.map((e) => `${e.question}${delimiter}${e.answer}${separator}`)
  if (!style.chatTemplate) return system + shown.join('') + question
  const turns: Message[] = style.fewShotAsMultiturn
    ? [
        ...examples.flatMap((e) => [user(e.question), { role: 'assistant', content: e.answer }]),
        user(question),
      ]
    : [user(shown.join('') + question)]
  const render = (messages: Message[]) => text.render(messages, { addGenerationPrompt: true })
  if (system === '') return render(turns)
  try {
    return render([{ role: 'system', content: system }, ...turns])
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return render(turns)
  }
}

const user = (content: string): Message => ({ role: 'user', content })

/** One after the other, with the separator between unless there is white space already. */
function joined(first: string, second: string, separator: string): string {
  if (first === '' || second === '') return first + second
  return /\s$/.test(first) || /^\s/.test(second) ? first + second : first + separator + second
}

/**
 * The examples that precede a question: `count` of `pool`. Drawn by chance, they are other ones for
 * each question, so questions must be asked for in order. Where `isItself` can find the question among
 * them, one more is drawn than is shown. Throws FormatError when the pool is too small.
 */
export function chooseExamples<T>(
  pool: readonly T[],
  count: number,
  choose: 'RANDOM' | 'FIRST',
  random: PythonRandom,
  isItself: ((item: T) => boolean) | null = null,
): readonly T[] {
  if (count === 0) return []
  const expect = (needed: number, { length }: readonly T[]) => {
    if (length >= needed) return
    throw new FormatError(
      `${count} examples: expected a file of at least ${needed}, it has ${length}`,
    )
  }
  const others = (items: readonly T[], most = count) =>
    isItself === null
      ? items.slice(0, most)
      : items
          .values()
          .filter((item) => !isItself(item))
          .take(most)
          .toArray()
  const drawn = isItself === null ? count : count + 1
  expect(drawn, pool)
  const chosen = others(choose === 'FIRST' ? pool : random.sample(pool, drawn))
  if (chosen.length === count) return chosen
  // The question is there more than once.
  const rest = others(pool, pool.length)
  expect(count, rest)
  return random.sample(rest, count)
}
