/**
 * One side of the benchmark in a process of its own: does one thing per line it reads, and answers with one line of JSON. Between
 * lines it blocks, so that several sides can be alive, warm, and take turns.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { memoryOf, type Memory } from './memory.ts'

/** How often RssAnon, which the kernel keeps no peak of, is looked at. */
const sampleMilliseconds = 100

export class Peer<T> {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #spawned = Date.now()
  readonly #sampling: NodeJS.Timeout
  #errors = ''
  #anonymous = 0

  /** Starts `command`; its standard error is kept for the case that it fails. */
  constructor(
    name: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#name = name
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.on('error', (error) => (this.#errors += error.message))
    // A write to a process that has ended is answered by the end of its lines.
    this.#child.stdin!.on('error', () => {})
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4000)
    })
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    this.#sampling = setInterval(() => void this.#sample(), sampleMilliseconds)
  }

  async #sample(): Promise<void> {
    if (this.#child.pid === undefined) return
    const { anonymous } = await memoryOf(this.#child.pid)
    this.#anonymous = Math.max(this.#anonymous, anonymous)
  }

  /** The next line. Rejects with what the process said last when it ends instead. */
  async answer(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done === true) {
      if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid)
        await once(this.#child, 'exit')
      throw new Error(
        `${this.#name} ended with ${this.#child.exitCode ?? this.#child.signalCode}:\n${this.#errors}`,
      )
    }
    return JSON.parse(value) as T
  }

  /** Ask for one more. */
  async next(): Promise<T> {
    this.#child.stdin!.write('next\n')
    return await this.answer()
  }

  /** Waits for the side's `{ at }` (epoch seconds), its first line: seconds from the start of its process to there. */
  async ready(): Promise<number> {
    return (await this.begun()).start
  }

  /** The same, for a side whose first line says more. */
  async begun<L extends object>(): Promise<{ start: number; line: L & { at: number } }> {
    const line = (await this.answer()) as L & { at: number }
    return { start: line.at - this.#spawned / 1000, line }
  }

  /** Until now; `anonymous` is the most that a look ever saw. */
  async memory(): Promise<Memory> {
    await this.#sample()
    const { peak } = await memoryOf(this.#child.pid!)
    return { peak, anonymous: this.#anonymous }
  }

  /** Ends the process, whatever it does. */
  async end(): Promise<void> {
    clearInterval(this.#sampling)
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || !this.#child.pid) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}
