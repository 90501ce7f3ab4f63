/** Files that are either whole or absent, whatever happens to the process. */
import { randomBytes } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Write chunks to `path`: beside it first, flushed to the disk, then renamed over it. */
export async function writeAtomically(
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  // Not by the process's number alone: on a shared folder, those of two containers may be the same.
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${process.pid}-${randomBytes(4).toString('hex')}.partial`,
  )
  try {
    const file = await open(temporary, 'w')
    try {
      for await (const chunk of chunks) await file.appendFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync() // the rename itself survives a power cut
  } finally {
    await directory.close()
  }
}

/** Milliseconds; a writer that lives has touched its file within seconds. */
const abandoned = 10 * 60_000

/** Removes from a folder what writers that were killed have left half done: gigabytes, where files are large. */
export async function sweep(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (!entry.endsWith('.partial')) continue
    const file = join(folder, entry)
    const touched = await stat(file).catch(() => null)
    if (touched && Date.now() - touched.mtimeMs > abandoned) await rm(file, { force: true })
  }
}
