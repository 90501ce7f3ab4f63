/** The run state machine as a table: which status may follow which. */

export const runStatuses = [
  'QUEUED',
  'STARTING',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'CANCELED',
] as const
export type RunStatus = (typeof runStatuses)[number]

/** STARTING and RUNNING go back to QUEUED when a runtime is lost with attempts left. */
export const next = {
  QUEUED: ['STARTING', 'CANCELED'],
  STARTING: ['RUNNING', 'QUEUED', 'FAILED', 'CANCELED'],
  RUNNING: ['SUCCEEDED', 'QUEUED', 'FAILED', 'CANCELED'],
  SUCCEEDED: [],
  FAILED: [],
  CANCELED: [],
} as const satisfies Record<RunStatus, readonly RunStatus[]>

export const isTerminal = (status: RunStatus): boolean => next[status].length === 0

export const mayFollow = (from: RunStatus, to: RunStatus): boolean =>
  (next[from] as readonly RunStatus[]).includes(to)
