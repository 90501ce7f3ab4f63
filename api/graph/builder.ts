/** The schema builder and its plugins; types live in files of their own. */
import SchemaBuilder, { PothosValidationError } from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import DrizzlePlugin from '@pothos/plugin-drizzle'
import ErrorsPlugin from '@pothos/plugin-errors'
import RelayPlugin from '@pothos/plugin-relay'
import ScopeAuthPlugin from '@pothos/plugin-scope-auth'
import ValidationPlugin from '@pothos/plugin-validation'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { GraphQLError } from 'graphql'
import { relations } from '#schema/relations.ts'
import type { Caller } from '../accounts/authenticate.ts'
import { InvalidInput } from '../problem.ts'
import BlamePlugin from './blame.ts'
import type { GraphContext } from './context.ts'
import { uuidOf } from './id.ts'
import { maxPageSize, pageSize } from './page.ts'

/** Lists and connections are weighed by what they may return, so that one request stays a bounded piece of work. */
export const costLimits = { depth: 14, breadth: 400, complexity: 40_000 }

/** For members' fields when nobody is logged in; clients know it by its code, UNAUTHENTICATED. */
export const unauthenticated = () =>
  new GraphQLError('expected an API key: send "authorization: Bearer ods_..." or log in', {
    extensions: { code: 'UNAUTHENTICATED' },
  })

/** Fields are not null unless they say so. Global ids read `Type:uuid`; anything else is BAD_USER_INPUT. */
export const builder = new SchemaBuilder<{
  Context: GraphContext
  DrizzleRelations: typeof relations
  DefaultFieldNullability: false
  DefaultNodeNullability: false
  DefaultEdgesNullability: { list: false; items: false }
  AuthScopes: { member: boolean }
  AuthContexts: { member: GraphContext & { caller: Caller } }
  Scalars: {
    DateTime: { Input: Date; Output: Date }
    JSON: { Input: unknown; Output: unknown }
    ID: { Input: string; Output: string | number }
  }
}>({
  // The errors plugin comes first, because it has to see what the others throw.
  plugins: [
    ErrorsPlugin,
    ScopeAuthPlugin,
    RelayPlugin,
    DrizzlePlugin,
    ValidationPlugin,
    ComplexityPlugin,
    BlamePlugin,
  ],
  defaultFieldNullability: false,
  errors: { directResult: true, unsafelyHandleInputErrors: true, defaultTypes: [] },
  scopeAuth: {
    authScopes: (context) => ({ member: context.caller !== null }),
    unauthorizedError: unauthenticated,
    authorizeOnSubscribe: true,
  },
  relay: {
    encodeGlobalID: (typename, id) => `${typename}:${id}`,
    decodeGlobalID: (id) => {
      const typename = id.slice(0, Math.max(0, id.indexOf(':')))
      const uuid = uuidOf(typename, id)
      if (typename === '' || uuid === null) {
        const options = { extensions: { code: 'BAD_USER_INPUT' } }
        throw new PothosValidationError(
          `expected an id such as Run:<uuid>, got ${JSON.stringify(id)}`,
          options,
        )
      }
      return { typename, id: uuid }
    },
    clientMutationId: 'omit',
    cursorType: 'String',
    nodesOnConnection: {
      description: 'The page, without cursors.',
      complexity: { field: 1, multiplier: 1 },
    },
    edgesFieldOptions: {
      description: 'The page, with cursors.',
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { description: 'The item.' },
    cursorFieldOptions: { description: 'Where the item is: pass it as `after` or `before`.' },
    pageInfoFieldOptions: { description: 'Whether there is more.' },
    pageInfoTypeOptions: {
      description: 'Where a page begins and ends, and whether there is more.',
    },
    hasNextPageFieldOptions: { description: 'Whether items follow.' },
    hasPreviousPageFieldOptions: { description: 'Whether items precede.' },
    startCursorFieldOptions: { description: "The first item's cursor." },
    endCursorFieldOptions: { description: "The last item's cursor: the next page's `after`." },
    firstArgOptions: {
      description: `How many, from the beginning; ${pageSize} unless told, ${maxPageSize} at most.`,
    },
    lastArgOptions: { description: 'How many, from the end.' },
    afterArgOptions: { description: 'Only what follows this cursor.' },
    beforeArgOptions: { description: 'Only what precedes this cursor.' },
    defaultConnectionTypeOptions: { description: 'One page of a list.' },
    defaultEdgeTypeOptions: { description: 'An item and its cursor.' },
    nodeTypeOptions: { description: 'Anything that has an id.' },
    idFieldOptions: { description: 'The type and a uuid: Run:<uuid>.' },
    nodeQueryOptions: {
      description: 'One thing by its id.',
      args: { id: { description: 'Its id.' } },
      authScopes: { member: true },
    },
    nodesQueryOptions: {
      description: 'Several things by their ids, null for each that is not there.',
      args: { ids: { description: 'Their ids.' } },
      authScopes: { member: true },
      complexity: { field: 1, multiplier: pageSize },
    },
  },
  drizzle: {
    client: (context: GraphContext) => context.db,
    getTableConfig,
    relations,
    defaultConnectionSize: pageSize,
    maxConnectionSize: maxPageSize,
  },
  validation: {
    validationError: ({ issues }) =>
      new InvalidInput(
        issues.map(({ path, message }) => ({
          path: (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)),
          message,
        })),
      ),
  },
  complexity: { limit: costLimits, defaultListMultiplier: 10 },
})

builder.queryType({ description: 'What can be asked.' })
builder.mutationType({
  description: "What can be done. Every expected failure is a member of the result's union.",
})
builder.subscriptionType({ description: 'What can be followed, as Server-Sent Events.' })
