/** DateTime and JSON. */
import { GraphQLError } from 'graphql'
import { z } from 'zod'
import { builder } from './builder.ts'

const instant = z.iso.datetime({ offset: true })

builder.scalarType('DateTime', {
  description: 'An instant in ISO 8601, in UTC when we say it: 2026-11-24T15:04:05.000Z.',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    const parsed = instant.safeParse(value)
    if (!parsed.success)
      throw new GraphQLError(`expected an ISO 8601 date and time, got ${JSON.stringify(value)}`)
    return new Date(parsed.data)
  },
})

builder.scalarType('JSON', {
  description: 'Any JSON value, for what has no fixed shape.',
  serialize: (value) => value,
})
