/**
 * Bad input: what is wrong, where, and what was expected. The user's files are at fault; ends a run
 * with the code INPUT.
 */
export class FormatError extends Error {
  override readonly name = 'FormatError'
}
