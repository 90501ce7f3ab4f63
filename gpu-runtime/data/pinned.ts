/** Files that a spec pins by content: what a path holds now is what it held when the run was made, or nothing is measured. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { FormatError } from '../error.ts'

/** Reads the whole file. Throws FormatError where it cannot be read or holds something else than `sha256` (hex) says. */
export async function expectPinned(file: string, sha256: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk)
  } catch (cause) {
    throw new FormatError(
      `${file}: ${(cause as Error).message}; it could be read when the run was made`,
      { cause },
    )
  }
  const got = hash.digest('hex')
  if (got !== sha256)
    throw new FormatError(
      `${file}: has changed since the run was made: expected sha256 ${sha256}, got ${got}; start a new run`,
    )
}

/** What is said about the rows of a file, with the file's name before it. */
export async function inFile<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof FormatError) || error.message.includes(file)) throw error
    throw new FormatError(`${file}: ${error.message}`, { cause: error })
  }
}
