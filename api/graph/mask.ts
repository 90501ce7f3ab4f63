/** What a client hears of an error: expected ones as they are, with a code; the rest is masked, and logged under an id that both have. */
import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'
import type { Context } from '../context.ts'
import { InvalidInput, Problem } from '../problem.ts'
import { runOf } from './blame.ts'

const codes: Record<Problem['status'], string> = {
  400: 'BAD_USER_INPUT',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  413: 'TOO_LARGE',
  429: 'LIMIT_EXCEEDED',
}

/** GraphQL wraps what resolvers throw in errors that say where. */
function original(error: unknown): unknown {
  let inner = error
  while (inner instanceof GraphQLError && inner.originalError !== undefined)
    inner = inner.originalError
  return inner
}

/** A problem that a query, which has no union of results, ran into. */
function asGraphQLError(problem: Problem, where: GraphQLError | null): GraphQLError {
  const extensions = {
    code: codes[problem.status],
    ...(problem instanceof InvalidInput && { issues: problem.issues }),
  }
  return new GraphQLError(problem.message, { nodes: where?.nodes, path: where?.path, extensions })
}

export const maskError =
  ({ log }: Pick<Context, 'log'>) =>
  (error: unknown, message: string): Error => {
    const where = error instanceof GraphQLError ? error : null
    const cause = original(error)
    if (cause instanceof GraphQLError) return error as GraphQLError
    if (cause instanceof Problem) return asGraphQLError(cause, where)
    const errorId = randomUUID()
    log.error(
      { err: cause, errorId, runId: runOf(cause), path: where?.path?.join('.') },
      'graphql: unexpected error',
    )
    return new GraphQLError(message, {
      nodes: where?.nodes,
      path: where?.path,
      extensions: { code: 'INTERNAL_SERVER_ERROR', errorId },
    })
  }
