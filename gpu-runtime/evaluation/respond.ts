/** Evaluation of a subject on a task that is answered by writing: prompts to the generator, its responses to samples. */
import type { Sample } from '#schema/protocol.ts'
import { completions } from '../inference/completions.ts'
import type { Generator } from '../inference/generate.ts'
import type { Text } from '../text/text.ts'
import type { Prepared, PreparedDocument } from './prepare.ts'
import { documentsOf, identityOf, storable, whole, type Shard } from './run.ts'
import type { GenerationDocument, GenerationTask } from './tasks/task.ts'

/** A document's sample, and how many tokens were written for it. */
export type Responded = { readonly sample: Sample; readonly tokens: number }

/** Characters of a response that are kept; it is judged on all of them. */
const kept = 8192

export type Asked = {
  readonly signal: AbortSignal
  /** Tokens that end a response beside the text's own end of sequence. */
  readonly stopIds?: readonly number[]
  readonly shard?: Shard
  /** The places in `documents` to ask; null for the shard's. */
  readonly wanted?: ReadonlySet<number> | null
}

/**
 * The likeliest token again and again, as lm-evaluation-harness asks for it; samples come as responses
 * end, not in the documents' order. An aborted signal ends it after a step.
 */
export async function* respond(
  prepared: Prepared,
  generator: Generator,
  text: Text,
  { signal, stopIds = [], shard = whole, wanted = null }: Asked,
): AsyncGenerator<Responded> {
  const { task } = prepared
  if (task.kind !== 'generate_until')
    throw new Error(`internal: ${task.kind} is not answered by writing`)
  const documents = [...(wanted ?? documentsOf(prepared, 0, shard))].map(
    (d) => prepared.documents[d]!,
  )
  if (documents.length === 0) return
  const { until, maxTokens } = task
  const settings = { until, maxTokens, stopIds, temperature: 0, signal }
  const prompts = documents.map(({ prompt }) => prompt!)
  try {
    for await (const made of completions(generator, text, prompts, settings))
      yield {
        sample: sampleOf(task, documents[made.index]!, made.text),
        tokens: made.tokens.length,
      }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
  }
}

function sampleOf(task: GenerationTask, asked: PreparedDocument, response: string): Sample {
  const { scores, weights } = task.judge(asked.document as GenerationDocument, response)
  return {
    ...identityOf(asked),
    picked: null,
    choices: [],
    scores: { ...scores },
    ...(weights === undefined ? {} : { weights: { ...weights } }),
    response: storable(response.slice(0, kept)),
  }
}
