/** Samples as JSON lines: a line a sample, under the names that GraphQL has. */
import type { StoredSample } from './samples.ts'

/** Chunks of text, a page each. */
export async function* toJsonl(
  pages: AsyncIterable<readonly StoredSample[]>,
): AsyncGenerator<string> {
  for await (const page of pages)
    yield page.map((sample) => `${JSON.stringify(line(sample))}\n`).join('')
}

function line(sample: StoredSample) {
  const { document, hash, gold, picked, question, answers, choices, response, scores, weights } =
    sample
  return { document, hash, gold, picked, question, answers, choices, response, scores, weights }
}
