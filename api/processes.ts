/** Which process is which: a pid alone may be a zombie, or may by now be somebody else's. */
import { readFileSync } from 'node:fs'

/** Does the process live, and is it (where /proc can tell) a `program`? A zombie does not live. */
export function isAlive(pid: number, program?: string): boolean {
  const status = statusOf(pid)
  if (status === 'gone') return false
  if (status === null) return answers(pid)
  return (
    status.state !== 'Z' &&
    status.state !== 'X' &&
    (program === undefined || status.name === program)
  )
}

/** When the process started, in clock ticks since boot; null where /proc cannot tell. With the pid it names a process for good. */
export function startTime(pid: number): string | null {
  const status = statusOf(pid)
  return status === null || status === 'gone' ? null : status.startTime
}

type Status = { readonly name: string; readonly state: string; readonly startTime: string }

/** /proc/PID/stat: `pid (name) state …`, field 22 is the start time. Null: there is no /proc. */
function statusOf(pid: number): Status | 'gone' | null {
  if (process.platform !== 'linux') return null
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const end = line.lastIndexOf(')')
    const fields = line.slice(end + 2).split(' ')
    return {
      name: line.slice(line.indexOf('(') + 1, end),
      state: fields[0]!,
      startTime: fields[19]!,
    }
  } catch (cause) {
    if (
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ||
      (cause as NodeJS.ErrnoException).code === 'ESRCH'
    )
      return 'gone'
    return null
  }
}

function answers(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM'
  }
}
