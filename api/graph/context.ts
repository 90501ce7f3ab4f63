/** What resolvers are given: the api's context and who asks. */
import type { Caller } from '../accounts/authenticate.ts'
import type { Context } from '../context.ts'

export type GraphContext = Context & {
  /** Null: nobody known. */
  readonly caller: Caller | null
}
