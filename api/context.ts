/** What every part of the api is given: nothing is global. */
import type pg from 'pg'
import type pino from 'pino'
import type { Bell } from './bell.ts'
import type { Db } from './database.ts'
import type { Config } from './env.ts'

export type Context = {
  readonly config: Config
  readonly db: Db
  readonly pool: pg.Pool
  readonly log: pino.Logger
  readonly bell: Bell
}

/** Who asks. One installation is one team: every key sees every run, and the account is recorded. */
export type Actor = { readonly accountId: string }
