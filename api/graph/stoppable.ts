/** Ending a stream that waits: a generator sees return() only at its next yield, so an AbortSignal wakes it first. */

/** What `start` yields, until it ends or somebody calls return(), which aborts the signal. */
export function stoppable<T>(start: (signal: AbortSignal) => AsyncGenerator<T>): AsyncGenerator<T> {
  const controller = new AbortController()
  const stream = start(controller.signal)
  const end = async (): Promise<IteratorReturnResult<undefined>> => {
    controller.abort()
    await stream.return(undefined)
    return { done: true, value: undefined }
  }
  return {
    next: () => stream.next(),
    return: end,
    throw: async (error) => {
      await end()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
    [Symbol.asyncDispose]: async () => void (await end()),
  }
}
