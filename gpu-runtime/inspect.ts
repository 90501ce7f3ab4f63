/** A job that needs the tokenizer and no weights: the documents of a task as the model is asked them. */
import type { Preview, PreviewDocument } from '#schema/protocol.ts'
import type { InspectSpec } from '#schema/spec.ts'
import { expectPinned, inFile } from './data/pinned.ts'
import { prepareTask, type PreparedDocument } from './evaluation/prepare.ts'
import { facesOf } from './evaluation/run.ts'
import type { ScoreRequest } from './inference/score.ts'
import { openCheckpoint } from './models/checkpoint.ts'
import { openChatMl } from './text/chatMl.ts'
import { openText } from './text/text.ts'

/** Throws FormatError where the task cannot be asked of the model. */
export async function inspect(
  { model, asAdapter, evaluate, after, first }: InspectSpec,
  signal: AbortSignal,
): Promise<Preview> {
  const { settings, rows, examples } = evaluate[0]!
  const [{ config }, own] = await Promise.all([openCheckpoint(model.path), openText(model.path)])
  const text = asAdapter && !own.hasTemplate ? (await openChatMl(model.path)).text : own
  await expectPinned(rows, settings.rowsSha256)
  if (examples !== null) await expectPinned(examples, settings.examplesSha256!)
  const { maxPositions } = config
  const { promptHash, documents } = await inFile(rows, () =>
    prepareTask(settings, { rows, examples }, { text, maxPositions }, signal),
  )
  const shown = documents.slice(after, after + first).map(previewOf)
  return { documents: documents.length, promptHash, shown }
}

function previewOf(prepared: PreparedDocument): PreviewDocument {
  const { index, hash, requests, scored, prompt, document } = prepared
  const { gold, answers } = facesOf(document)
  const writes = requests.kind === 'generate'
  return {
    document: index,
    hash,
    requests: writes
      ? [
          {
            context: requests.context,
            continuation: null,
            contextTokens: [...prompt!],
            continuationTokens: [],
          },
        ]
      : textsOf(requests, choicesOf(scored)),
    until: writes ? [...requests.until] : [],
    maxTokens: writes ? requests.maxTokens : null,
    gold,
    answers,
  }
}

type Tokens = Pick<PreviewDocument['requests'][number], 'contextTokens' | 'continuationTokens'>

/** Tokens of every choice, laid end to end. */
const choicesOf = (scored: readonly ScoreRequest[]): Tokens[] =>
  scored.flatMap(({ context, choices }) =>
    choices.map((choice) => ({ contextTokens: [...context], continuationTokens: [...choice] })),
  )

/** A text that is scored as a whole has a window a request, and the text stands with the first. */
function textsOf(
  requests: Exclude<PreparedDocument['requests'], { kind: 'generate' }>,
  tokens: readonly Tokens[],
): PreviewDocument['requests'] {
  return tokens.map((own, i) =>
    requests.kind === 'pairs'
      ? { context: requests.pairs[i]![0], continuation: requests.pairs[i]![1], ...own }
      : { context: null, continuation: i === 0 ? requests.text : '', ...own },
  )
}
