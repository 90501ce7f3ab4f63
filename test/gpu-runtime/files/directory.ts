/** A temporary directory that goes away with the test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Files by name: strings and bytes as they are, anything else as JSON. */
export async function directoryOf(
  context: TestContext,
  files: Readonly<Record<string, unknown>>,
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-files-'))
  context.after(() => rm(directory, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files))
    await writeFile(
      join(directory, name),
      typeof content === 'string' || content instanceof Uint8Array
        ? content
        : JSON.stringify(content),
    )
  return directory
}
