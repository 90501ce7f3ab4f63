/**
 * Bad input: what is wrong, where, and what was expected. The user's files are at fault; ends a run
 * with the code INPUT.
 */
export class FormatError extends Error {
  override readonly name = 'FormatError'
}

/** A term of the loss, a gradient or a score left the numbers; ends a run with the code NON_FINITE. */
export class NonFinite extends Error {
  override readonly name = 'NonFinite'
  /** The optimizer step and its values, when it happened in training. */
  readonly step: { readonly step: number; readonly values: Readonly<Record<string, number>> } | null

  constructor(message: string, step: NonFinite['step'] = null) {
    super(message)
    this.step = step
  }
}
