/** The client's side of the api, over HTTP with a key: GraphQL, its subscriptions, and downloads. */
import { createClient, type Client as Stream } from 'graphql-sse'
import { Failure, type Issue } from './exit.ts'

export type Client = {
  /** Throws Failure when the server cannot be reached or answers with errors. */
  query<T>(document: string, variables?: Record<string, unknown>): Promise<T>
  /** Reconnects by itself; ends when the subscription does. */
  subscribe<T>(document: string, variables: Record<string, unknown>): AsyncIterable<T>
  /** A file below the api's address. Throws Failure as `query` does. */
  download(path: string): Promise<Response>
}

type GraphQLErrors = readonly {
  readonly message: string
  readonly extensions?: { readonly code?: string; readonly issues?: readonly Issue[] }
}[]

export function connect(url: string, key: string): Client {
  const headers = { authorization: `Bearer ${key}` }
  const stream: Stream = createClient({ url: `${url}/graphql`, headers, retryAttempts: 10 })
  const ask = (path: string, init: RequestInit) =>
    fetch(`${url}${path}`, init).catch((cause: unknown) => {
      throw new Failure('UNREACHABLE', `cannot reach the api at ${url}`, [], cause)
    })
  return {
    async query<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
      const response = await ask('/graphql', {
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
        },
        body: JSON.stringify({ query, variables }),
      })
      const answer = (await response.json().catch(() => ({}))) as {
        data?: T
        errors?: GraphQLErrors
      }
      if (answer.errors || !answer.data) throw failureOf(answer.errors ?? [], response.status, url)
      return answer.data
    },
    async *subscribe<T>(query: string, variables: Record<string, unknown>): AsyncIterable<T> {
      for await (const { data, errors } of stream.iterate<T>({ query, variables })) {
        if (errors) throw failureOf(errors as GraphQLErrors, 200, url)
        if (data) yield data
      }
    },
    async download(path) {
      const response = await ask(path, { headers })
      if (response.ok) return response
      const { error } = (await response.json().catch(() => ({}))) as {
        error?: { message: string; issues?: Issue[] }
      }
      const exit =
        response.status === 401 ? 'NO_KEY' : response.status < 500 ? 'REFUSED' : 'UNEXPECTED'
      const message = error?.message ?? `${url}${path} answered ${response.status}`
      throw new Failure(exit, message, error?.issues)
    },
  }
}

const refusals = ['BAD_USER_INPUT', 'NOT_FOUND', 'CONFLICT', 'LIMIT_EXCEEDED', 'FORBIDDEN']

function failureOf(errors: GraphQLErrors, status: number, url: string): Failure {
  const codes = errors.map(({ extensions }) => extensions?.code ?? '')
  const message =
    errors.map((error) => error.message).join('; ') || `${url}/graphql answered ${status}`
  if (codes.includes('UNAUTHENTICATED')) return new Failure('NO_KEY', message)
  const refused = codes.some((code) => refusals.includes(code))
  const issues = errors.flatMap(({ extensions }) => extensions?.issues ?? [])
  return new Failure(refused ? 'REFUSED' : 'UNEXPECTED', message, issues)
}

/** Of a result union: the wanted type's fields. Throws Failure for its problems. */
export function expectType<T extends { readonly __typename: string }>(
  answer: T | { readonly __typename: string },
  wanted: string,
): T {
  if (answer.__typename === wanted) return answer as T
  const { message, issues } = answer as { message?: string; issues?: Issue[] }
  throw new Failure('REFUSED', message ?? answer.__typename, issues)
}

/** What a document asks of every problem. */
export const problemFields =
  '... on Problem { message } ... on InvalidInput { issues { path message } }'
