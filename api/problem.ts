/** Expected failures: what a client did, said in a way that a client can act on. Everything else is masked and logged. */

export abstract class Problem extends Error {
  abstract readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 429
}

export type Issue = { readonly path: readonly string[]; readonly message: string }

/** Each issue names the place in the input by its path, such as ['recipe', 'beta']. */
export class InvalidInput extends Problem {
  override readonly name = 'InvalidInput'
  readonly status = 400
  readonly issues: readonly Issue[]

  constructor(issues: readonly Issue[]) {
    super(
      issues
        .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
        .join('; '),
    )
    this.issues = issues
  }
}

export class Unauthorized extends Problem {
  override readonly name = 'Unauthorized'
  readonly status = 401
}

export class Forbidden extends Problem {
  override readonly name = 'Forbidden'
  readonly status = 403
}

export class NotFound extends Problem {
  override readonly name = 'NotFound'
  readonly status = 404
}

/** The request is fine, the state of the thing is not: "run … is SUCCEEDED; only QUEUED … runs can be canceled". */
export class Conflict extends Problem {
  override readonly name = 'Conflict'
  readonly status = 409
}

export class TooLarge extends Problem {
  override readonly name = 'TooLarge'
  readonly status = 413
}

export class LimitExceeded extends Problem {
  override readonly name = 'LimitExceeded'
  readonly status = 429
}
