/** A Yoga plugin that bounds documents before they cost anything. Depth and cost are bounded by the builder's `costLimits`. */
import {
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  type ValidationContext,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'

export const documentLimits = {
  /** GraphiQL's introspection has about 300. */
  tokens: 2000,
  /** The cost of a field is counted wherever it resolves something, but `a: __typename b: __typename ...` resolves nothing. */
  aliases: 50,
}

function LimitAliases(context: ValidationContext) {
  let aliases = 0
  return {
    Field(node: { readonly alias?: unknown }) {
      if (node.alias === undefined) return
      aliases += 1
      if (aliases === documentLimits.aliases + 1) {
        context.reportError(
          new GraphQLError(`expected at most ${documentLimits.aliases} aliases`, {
            extensions: { code: 'TOO_COMPLEX' },
          }),
        )
      }
    },
  }
}

export function useLimits({ introspection }: { readonly introspection: boolean }): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, options) =>
        parse(source, { ...options, maxTokens: documentLimits.tokens }),
      )
    },
    onValidate({ addValidationRule }) {
      addValidationRule(LimitAliases)
      if (!introspection) addValidationRule(NoSchemaIntrospectionCustomRule)
    },
  }
}
