/** A Pothos plugin that remembers which run a resolver was about when it failed, so that the log line can name it. */
import SchemaBuilder, {
  BasePlugin,
  type PothosOutputFieldConfig,
  type SchemaTypes,
} from '@pothos/core'
import type { GraphQLFieldResolver } from 'graphql'
import { uuidOf } from './id.ts'

const name = 'blame'

export default name

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      blame: BlamePlugin<Types>
    }
  }
}

const blamed = new WeakMap<object, string>()

/** Remembers it and throws the error on. */
export function blame(error: unknown, runId: string | undefined): never {
  if (runId !== undefined && typeof error === 'object' && error !== null) blamed.set(error, runId)
  throw error
}

/** The run that an error's resolver was about. */
export const runOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null ? blamed.get(error) : undefined

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Runs have the id themselves, what runs made has it as runId, and root fields about a run take it as an argument. */
function subject(typename: string, parent: unknown, args: unknown): string | undefined {
  const row = (parent ?? {}) as Record<string, unknown>
  const given = (args ?? {}) as Record<string, unknown>
  const input = (given['input'] ?? given) as Record<string, unknown>
  if (typename === 'Run') return text(row['id'])
  return text(row['runId']) ?? uuidOf('Run', text(input['id']) ?? '') ?? undefined
}

class BlamePlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolver: GraphQLFieldResolver<unknown, Types['Context'], object>,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    return blaming(resolver, field.parentType)
  }

  override wrapSubscribe(
    subscribe: GraphQLFieldResolver<unknown, Types['Context'], object> | undefined,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> | undefined {
    return subscribe && blaming(subscribe, field.parentType)
  }
}

function blaming<Context>(
  resolver: GraphQLFieldResolver<unknown, Context, object>,
  typename: string,
): GraphQLFieldResolver<unknown, Context, object> {
  return (parent, args, context, info) => {
    const remember = (error: unknown): never => blame(error, subject(typename, parent, args))
    try {
      const result = resolver(parent, args, context, info)
      return result instanceof Promise ? result.catch(remember) : result
    } catch (error) {
      return remember(error)
    }
  }
}

SchemaBuilder.registerPlugin(name, BlamePlugin)
