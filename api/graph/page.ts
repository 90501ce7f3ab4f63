/** The cost of a connection: its page size times what hangs on each item. */

type PageArgs = { readonly first?: number | null; readonly last?: number | null }

export const pageSize = 20
export const maxPageSize = 200

/** For the complexity option of connections; `edges` and `nodes` themselves multiply by one. */
export const pageCost = (args: PageArgs) => ({
  field: 1,
  multiplier: args.first ?? args.last ?? pageSize,
})
