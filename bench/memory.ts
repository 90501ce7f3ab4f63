/** Memory of a process and of its descendants, from Linux's /proc. */
import { readFile, readdir } from 'node:fs/promises'

/** Bytes. `peak` sums VmHWM, the most that each process ever had resident; `anonymous` sums RssAnon of this moment. */
export type Memory = { readonly peak: number; readonly anonymous: number }

/** Processes that have ended count nothing. */
export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const bytes = (field: string) =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
  let [peak, anonymous] = [bytes('VmHWM'), bytes('RssAnon')]
  for (const child of await childrenOf(pid)) {
    const more = await memoryOf(child)
    peak += more.peak
    anonymous += more.anonymous
  }
  return { peak, anonymous }
}

async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) =>
      readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => ''),
    ),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}
