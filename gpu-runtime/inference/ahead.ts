/** One ahead: while the engine computes an answer, this thread lays out the next question. */

/**
 * Each item with its answer, in order. The next item is asked for before an answer is awaited, so one
 * question is on its way when the loop is left: it is waited for, and its answer and its error dropped.
 */
export async function* ahead<T, A>(
  items: readonly T[],
  ask: (item: T) => Promise<A>,
): AsyncGenerator<readonly [item: T, answer: A]> {
  let next = items.length > 0 ? ask(items[0]!) : null
  try {
    for (const [i, item] of items.entries()) {
      const current = next!
      // An answer that is awaited later must not count as unhandled when it fails first.
      next = i + 1 < items.length ? ask(items[i + 1]!) : null
      next?.catch(() => {})
      yield [item, await current]
    }
  } finally {
    await next?.catch(() => {})
  }
}
