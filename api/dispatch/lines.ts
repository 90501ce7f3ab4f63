/** A process's output as log lines, of bounded length and rate: whatever it prints, memory and the events table stay small. */
import type { Readable } from 'node:stream'
import type { LogLine } from './launcher.ts'

/** Characters. */
const longest = 4000
/** Lines that may come at once, and lines per second in the long run. */
const burst = 500
const rate = 10
/** Milliseconds for which lines are gathered. */
const gather = 200

/** Reads both streams at once, until both have ended or `finish` is called. Control characters and `secret` are blotted out. */
export function readLines(
  streams: { readonly stdout: Readable; readonly stderr: Readable },
  secret: string,
) {
  let queue: LogLine[] = []
  let dropped = 0
  let tokens = burst
  let refilled = performance.now()
  let open = 2
  let wake = () => {}

  function take(level: LogLine['level'], text: string): void {
    const message = clean(text.replaceAll(secret, '…')).slice(0, longest)
    if (message === '') return
    const now = performance.now()
    tokens = Math.min(burst, tokens + ((now - refilled) / 1000) * rate)
    refilled = now
    if (tokens < 1) dropped++
    else {
      tokens--
      queue.push({ level, message })
    }
    wake()
  }

  function follow(stream: Readable, level: LogLine['level']): void {
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const parts = (rest + chunk).split(/\r\n|\n|\r/)
      rest = parts.pop()!
      for (const part of parts) take(level, part)
      if (rest.length > longest) {
        take(level, rest)
        rest = ''
      }
    })
    stream.on('error', () => {})
    stream.once('close', () => {
      take(level, rest)
      open--
      wake()
    })
  }
  follow(streams.stdout, 'info')
  follow(streams.stderr, 'warn')

  async function* logs(): AsyncGenerator<readonly LogLine[]> {
    for (;;) {
      if (queue.length === 0 && dropped === 0) {
        if (open <= 0) return
        await new Promise<void>((resolve) => (wake = resolve))
        wake = () => {}
        if (open > 0) await new Promise((resolve) => setTimeout(resolve, gather))
        continue
      }
      const bundle = queue
      if (dropped > 0)
        bundle.push({
          level: 'warn',
          message: `${dropped} lines were dropped: the runtime prints too much`,
        })
      queue = []
      dropped = 0
      yield bundle
    }
  }

  return {
    logs: logs(),
    /** Stops waiting for streams that somebody else still holds open. */
    finish(): void {
      open = 0
      wake()
    },
  }
}

/** Without colours and other control characters; Postgres keeps no NUL and no half of a surrogate pair. */
const clean = (text: string): string =>
  text.replace(colours, '').replace(controls, '\ufffd').toWellFormed().trimEnd()

// oxlint-disable-next-line no-control-regex
const colours = /\x1b\[[\d;]*[A-Za-z]/g
// oxlint-disable-next-line no-control-regex
const controls = /[\x00-\x08\x0b-\x1f\x7f]/g
