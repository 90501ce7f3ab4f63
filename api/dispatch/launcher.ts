/** Where runtimes run. A launcher starts one, tells how it ends, and ends it; it never learns what a run is about. */

/** `id` is the run's; attempts count from 1. */
export type Attempt = { readonly id: string; readonly attempt: number }

/** All that a runtime is given. */
export type Access = { readonly url: string; readonly token: string }

/** One line that a runtime printed: `info` on stdout, `warn` on stderr. */
export type LogLine = { readonly level: 'info' | 'warn'; readonly message: string }

/** As Node tells it: a code, or the signal that ended it; one of them is null. */
export type Exit = { readonly code: number | null; readonly signal: string | null }

/** One runtime that was started here. */
export type Handle = {
  /** What the runtime printed, in bundles; ends after its exit. */
  readonly logs: AsyncIterable<readonly LogLine[]>
  readonly exit: Promise<Exit>
  /** Asks the runtime to end and, after `grace` milliseconds, makes it. Settles with its exit; may be called again. */
  stop(grace: number): Promise<void>
}

/** `start` settles once the runtime is there, and rejects when it cannot be started. */
export type Launcher = {
  start(run: Attempt, access: Access): Promise<Handle>
  /** Ends whatever an earlier attempt left running, before another one starts. */
  reclaim(runId: string): Promise<void>
  /** Runs whose runtimes, started by a former api, are still at it. */
  survivors(): Promise<readonly string[]>
}
