/** Writes schema/schema.graphql: run it after every change of the schema; a test compares. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lexicographicSortSchema, printSchema } from 'graphql'
import { repository } from '../env.ts'
import { schema } from './schema.ts'

export const sdlFile = join(repository, 'schema', 'schema.graphql')

export const printed = (): string => `${printSchema(lexicographicSortSchema(schema))}\n`

if (import.meta.main) await writeFile(sdlFile, printed())
