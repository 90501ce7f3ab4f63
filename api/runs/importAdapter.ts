/** Adapters that were trained elsewhere: looked at, copied, and from then on like those of our own. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { and, eq } from 'drizzle-orm'
import { z } from 'zod'
import { adapters, artifacts } from '#schema/tables.ts'
import { copyArtifact, removeCopies } from '../artifacts.ts'
import { canonical, sha256 } from '../canonical.ts'
import type { Actor, Context } from '../context.ts'
import type { Db } from '../database.ts'
import { Conflict, InvalidInput } from '../problem.ts'
import { keepModel } from './create.ts'
import { insideRoots } from './paths.ts'
import { adapterNames, inspectAdapter } from './peft.ts'
import { pinModel } from './pin.ts'

type Adapter = typeof adapters.$inferSelect

const ImportInput = z.strictObject({
  path: z.string(),
  model: z.strictObject({ path: z.string() }),
  name: z.string().trim().min(1).max(200),
  idempotencyKey: z.string().min(1).max(200),
})
/** `path` is the adapter's folder, `model` the base model that it belongs on. */
export type ImportInput = z.infer<typeof ImportInput>

/**
 * Copies a PEFT adapter from a folder inside the roots. The same key with the same input is the adapter that exists, with other
 * input a Conflict; InvalidInput says what is supported.
 */
export async function importAdapter(
  ctx: Context,
  { accountId }: Actor,
  input: ImportInput,
): Promise<Adapter> {
  const parsed = ImportInput.safeParse(input)
  if (!parsed.success)
    throw new InvalidInput(
      parsed.error.issues.map(({ path, message }) => ({ path: path.map(String), message })),
    )
  const { idempotencyKey: importKey, ...asked } = parsed.data
  const wanted = { accountId, importKey, importHash: sha256(canonical(asked)) }
  const before = await findImport(ctx.db, wanted)
  if (before !== null) return before

  const { config } = ctx
  const directory = await insideRoots(config.roots, asked.path, 'directory', ['path'])
  const files: string[] = []
  for (const name of adapterNames)
    files.push(await insideRoots(config.roots, join(directory, name), 'file', ['path']))
  const model = await pinModel(config, asked.model.path, ['model', 'path'])
  const id = randomUUID()
  try {
    const copies: (Awaited<ReturnType<typeof copyArtifact>> & { readonly name: string })[] = []
    for (const [i, file] of files.entries())
      copies.push({ name: adapterNames[i]!, ...(await copyArtifact(config, id, file)) })
    // Of the copies: what lies in the folder may change meanwhile.
    const found = await inspectAdapter(
      { config: placed(ctx, id, copies[0]!.id), weights: placed(ctx, id, copies[1]!.id) },
      { directory, model: model.path, at: ['path'] },
    )
    return await ctx.db.transaction(async (tx) => {
      const [row] = await tx
        .insert(adapters)
        .values({
          id,
          ...wanted,
          name: asked.name,
          baseModelId: await keepModel(tx, model),
          sha256: copies[1]!.sha256,
          ...found,
        })
        .onConflictDoNothing({ target: [adapters.accountId, adapters.importKey] })
        .returning()
      if (row === undefined) {
        await removeCopies(config, id)
        return (await findImport(tx, wanted))!
      }
      await tx
        .insert(artifacts)
        .values(
          copies.map((copy) => ({ ...copy, adapterId: id, attempt: 0, kind: 'ADAPTER' as const })),
        )
      return row
    })
  } catch (error) {
    await removeCopies(config, id)
    throw error
  }
}

const placed = ({ config }: Pick<Context, 'config'>, adapterId: string, id: string): string =>
  join(config.home, 'artifacts', adapterId, id)

async function findImport(
  db: Db,
  { accountId, importKey, importHash }: ImportedAs,
): Promise<Adapter | null> {
  const mine = and(eq(adapters.accountId, accountId), eq(adapters.importKey, importKey))
  const [row] = await db.select().from(adapters).where(mine)
  if (row === undefined) return null
  if (row.importHash === importHash) return row
  throw new Conflict(
    `idempotency key "${importKey}" was used for adapter ${row.id} with other input; use a new key`,
  )
}

type ImportedAs = {
  readonly accountId: string
  readonly importKey: string
  readonly importHash: string
}
