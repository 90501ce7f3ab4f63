/** The demo's side of the GraphQL API: what any script would do, over HTTP with an API key. */
import { createClient, type Client as Stream } from 'graphql-sse'

export type Client = {
  /** Throws when the server answers with errors. */
  query<T>(document: string, variables?: Record<string, unknown>): Promise<T>
  /** Reconnects by itself; ends when the subscription does. */
  subscribe<T>(document: string, variables: Record<string, unknown>): AsyncIterable<T>
}

export function connect(url: string, key: string): Client {
  const headers = { authorization: `Bearer ${key}` }
  const stream: Stream = createClient({ url: `${url}/graphql`, headers, retryAttempts: 10 })
  return {
    async query<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
        },
        body: JSON.stringify({ query, variables }),
      })
      const { data, errors } = (await response.json()) as {
        data?: T
        errors?: { message: string }[]
      }
      if (errors || !data)
        throw new Error(
          errors?.map((e) => e.message).join('; ') ?? `the server answered ${response.status}`,
        )
      return data
    },
    async *subscribe<T>(query: string, variables: Record<string, unknown>): AsyncIterable<T> {
      for await (const { data, errors } of stream.iterate<T>({ query, variables })) {
        if (errors) throw new Error(errors.map((e) => e.message).join('; '))
        if (data) yield data
      }
    },
  }
}
