/** Runtimes as child processes of this machine: each leads its own process group, and outlives an api that is killed. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { repository } from '../env.ts'
import { isAlive, startTime } from '../processes.ts'
import type { Access, Attempt, Exit, Handle, Launcher } from './launcher.ts'
import { readLines } from './lines.ts'

/** `home` is the api's own folder. */
export type ProcessOptions = {
  /** Under `home/runtimes`, each living runtime has a file that says which process it is, and a folder for temporary files. */
  readonly home: string
  /** Program and arguments; by default this Node on the runtime's main file. */
  readonly command?: readonly string[]
}

/** What a runtime inherits: nothing that belongs to the api, such as its database's address. */
const inherited =
  /^(PATH|HOME|TZ|LANG|LD_LIBRARY_PATH|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(LC|CUDA|NVIDIA|OMP|ORT)_\w+)$/

const Note = z.object({
  pid: z.number().int().positive(),
  startTime: z.string().nullable(),
  attempt: z.number(),
})

/**
 * A runtime gets its url, its token, a TMPDIR and a folder for caches in its environment, and of the api's only what `inherited` lets through.
 * It ends with its whole group.
 */
export function createProcessLauncher(options: ProcessOptions): Launcher {
  const command = options.command ?? [process.execPath, join(repository, 'gpu-runtime', 'main.ts')]
  const folder = join(options.home, 'runtimes')
  const noteOf = (runId: string) => join(folder, `${runId}.json`)
  const scratchOf = (runId: string) => join(folder, runId)
  const forget = async (runId: string) => {
    // What cannot be removed now is tried again when the run is reclaimed.
    await rm(scratchOf(runId), { recursive: true, force: true }).catch(() => {})
    await rm(noteOf(runId), { force: true })
  }

  return {
    async start(run: Attempt, access: Access): Promise<Handle> {
      // A runtime that is killed cannot tidy up: what it keeps in TMPDIR is in a folder that goes with it.
      await mkdir(scratchOf(run.id), { recursive: true, mode: 0o700 })
      const kept = Object.entries(process.env).filter(([name]) => inherited.test(name))
      const own = {
        ODDSMITH_URL: access.url,
        ODDSMITH_TOKEN: access.token,
        TMPDIR: scratchOf(run.id),
        ODDSMITH_CACHE: join(options.home, 'cache'),
      }
      const env = { ...Object.fromEntries(kept), ...own }
      const [program, ...args] = command
      const child = spawn(program!, args, {
        env,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const ended = new Promise<Exit>((resolve) =>
        child.once('exit', (code, signal) => resolve({ code, signal })),
      )
      await new Promise((resolve, reject) =>
        child.once('spawn', resolve).once('error', reject),
      ).catch(async (error: unknown) => {
        await forget(run.id)
        throw error
      })
      const pid = child.pid!
      const note = { pid, startTime: startTime(pid), attempt: run.attempt }
      await writeFile(noteOf(run.id), JSON.stringify(note), { mode: 0o600 })
      const { logs, finish } = readLines(
        { stdout: child.stdout!, stderr: child.stderr! },
        access.token,
      )
      const exit = ended.then(async (how) => {
        // The leader has gone; what it may have started goes too.
        signalGroup(pid, 'SIGKILL')
        await Promise.race([closed(child), sleep(1000, undefined, { ref: false })])
        finish()
        await forget(run.id)
        return how
      })
      return { logs, exit, stop: stopper(pid, exit) }
    },

    async reclaim(runId) {
      const note = await readNote(noteOf(runId))
      for (let waited = 0; note !== null && lives(note) && waited < 5000; waited += 50) {
        signalGroup(note.pid, 'SIGKILL')
        await sleep(50)
      }
      await forget(runId)
    },

    async survivors() {
      const found: string[] = []
      for (const file of await readdir(folder).catch(() => [])) {
        const note = await readNote(join(folder, file))
        if (note !== null && lives(note)) found.push(file.replace(/\.json$/, ''))
      }
      return found
    },
  }
}

function stopper(pid: number, exit: Promise<Exit>): Handle['stop'] {
  let asked = false
  return async (grace) => {
    if (!asked) signalGroup(pid, 'SIGTERM')
    asked = true
    const killing = setTimeout(() => signalGroup(pid, 'SIGKILL'), grace)
    await exit
    clearTimeout(killing)
  }
}

/** The same process, not another one that got its number; where the start time is unknown it is left alone. */
const lives = ({ pid, startTime: noted }: z.infer<typeof Note>): boolean =>
  noted !== null && isAlive(pid) && startTime(pid) === noted

const readNote = (file: string) =>
  readFile(file, 'utf8')
    .then((text) => Note.safeParse(JSON.parse(text)).data ?? null)
    .catch(() => null)

const closed = (child: ChildProcess) => new Promise((resolve) => child.once('close', resolve))

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The whole group has gone.
  }
}
