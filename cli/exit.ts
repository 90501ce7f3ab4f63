/** How the command ends: what scripts and CI go by. Codes from 64 are those of sysexits.h. */

export const exitCodes = {
  /** Done; of a gate: PASS. */
  OK: 0,
  /** A run that was waited for did not succeed; of a gate: FAIL. */
  FAIL: 1,
  /** Of a gate: more samples are needed. */
  UNDECIDED: 2,
  USAGE: 64,
  /** The api refused what was asked: InvalidInput, NotFound, Conflict, LimitExceeded. */
  REFUSED: 65,
  /** The api cannot be reached. */
  UNREACHABLE: 69,
  /** The api answered what it should not. */
  UNEXPECTED: 70,
  /** No key, or one that does not open the api. */
  NO_KEY: 77,
} as const
export type ExitName = keyof typeof exitCodes

export type Issue = { readonly path: readonly string[]; readonly message: string }

/** Ends the command with the code of its name. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exit: ExitName
  readonly issues: readonly Issue[]

  constructor(exit: ExitName, message: string, issues: readonly Issue[] = [], cause?: unknown) {
    super(message, { cause })
    this.exit = exit
    this.issues = issues
  }
}
