/** sha256 of files, remembered by path, size and times: a model of many gigabytes is read once. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'

const Entry = z.object({
  size: z.number(),
  modified: z.number(),
  changed: z.number(),
  inode: z.number(),
  sha256: z.string(),
})
type Entry = z.infer<typeof Entry>
const Entries = z.record(z.string(), Entry)

/** A file changed this recently may change again within the clock's grain, so it is not remembered. Milliseconds. */
const settled = 2000

const opened = new Map<string, Promise<Map<string, Entry>>>()
let writing: Promise<unknown> = Promise.resolve()

/** Streamed; bytes are counted as read. */
export async function fingerprint(
  home: string,
  path: string,
): Promise<{ sha256: string; bytes: number }> {
  const file = join(home, 'fingerprints.json')
  const known = await load(file)
  const { size, mtimeMs: modified, ctimeMs: changed, ino: inode } = await stat(path)
  const before = known.get(path)
  const same =
    before?.size === size &&
    before.modified === modified &&
    before.changed === changed &&
    before.inode === inode
  if (before !== undefined && same) return { sha256: before.sha256, bytes: size }

  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Buffer)
  const sha256 = hash.digest('hex')
  if (Date.now() - Math.max(modified, changed) > settled) {
    known.set(path, { size, modified, changed, inode, sha256 })
    writing = writing.then(() => save(file, known)).catch(() => {})
    await writing
  }
  return { sha256, bytes: size }
}

function load(file: string): Promise<Map<string, Entry>> {
  const loading =
    opened.get(file) ??
    readFile(file, 'utf8')
      // A damaged cache is an empty cache.
      .then((text) => new Map(Object.entries(Entries.parse(JSON.parse(text)))))
      .catch(() => new Map<string, Entry>())
  opened.set(file, loading)
  return loading
}

async function save(file: string, entries: ReadonlyMap<string, Entry>): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const partial = `${file}.${process.pid}`
  await writeFile(partial, JSON.stringify(Object.fromEntries(entries), null, 1))
  await rename(partial, file)
}
