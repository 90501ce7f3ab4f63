/** Items that are made before they are asked for. */

/**
 * The items of `source` in order, of which up to `most` are made while the consumer is busy with an earlier one. An item that
 * fails fails where it would have been yielded. Ending early ends the source, after what it is making.
 */
export async function* prefetch<T>(source: AsyncGenerator<T>, most: number): AsyncGenerator<T> {
  const made: Promise<IteratorResult<T>>[] = []
  const pull = () => {
    const next = source.next()
    next.catch(() => {}) // thrown when its turn comes
    made.push(next)
  }
  try {
    for (;;) {
      while (made.length <= most) pull()
      const next = await made.shift()!
      if (next.done) return
      yield next.value
    }
  } finally {
    await source.return(undefined)
  }
}
